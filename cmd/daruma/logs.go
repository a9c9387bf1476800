package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

func logsCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "logs [FUNCTION]",
		Short: "Show what functions logged",
		Long: `Show what functions logged, oldest first: their own lines and the platform's
START, END and REPORT lines. Logs are kept in bounded space; the oldest go first.`,
		Example: `  daruma logs -f                    follow everything
  daruma logs Orders --last 50      the last 50 lines of one function
  daruma logs --request 0f4c7ad9-…  one invocation`,
		Args: cobra.MaximumNArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	follow := c.Flags().BoolP("follow", "f", false, "go on with new lines")
	request := c.Flags().String("request", "", "only this request ID")
	trace := c.Flags().String("trace", "", "only this trace (its root, or an X-Amzn-Trace-Id header)")
	contains := c.Flags().String("grep", "", "only lines that contain this text")
	since := c.Flags().Duration("since", 0, "only lines not older than this, such as 10m")
	last := c.Flags().IntP("last", "n", 0, "only the last so many lines (default: all, or 20 with -f)")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		q := url.Values{}
		if len(args) == 1 {
			s, err := status(c.Context(), a)
			if err != nil {
				return err
			}
			name, err := functionNamed(s, args[0])
			if err != nil {
				return err
			}
			q.Set("function", name)
		}
		for key, value := range map[string]string{"request": *request, "trace": *trace, "contains": *contains} {
			if value != "" {
				q.Set(key, value)
			}
		}
		if *since > 0 {
			q.Set("since", time.Now().Add(-*since).UTC().Format(time.RFC3339Nano))
		}
		if *follow {
			q.Set("follow", "true")
			if *last == 0 && *since == 0 {
				*last = 20
			}
		}
		if *last > 0 {
			q.Set("last", strconv.Itoa(*last))
		}
		body, err := ask(c.Context(), a, "GET", "/api/logs?"+q.Encode())
		if err != nil {
			return err
		}
		defer body.Close()
		show := newLinePrinter(w.out, w.terminal)
		if *asJSON {
			show = func(l daruma.Line) error { return printJSON(w.out, l) }
		}
		err = eachLine(body, show)
		if c.Context().Err() != nil { // interrupted while following: that is how it ends
			return nil
		}
		return err
	}
	return c
}

func eachLine(body io.Reader, show func(daruma.Line) error) error {
	dec := json.NewDecoder(body)
	for {
		var l daruma.Line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return &daruma.Error{Op: "read the log", Err: err}
		}
		if err := show(l); err != nil {
			return err
		}
	}
}

// newLinePrinter returns a function that prints lines for people, with a colour for each function on a terminal.
func newLinePrinter(out io.Writer, colour bool) func(daruma.Line) error {
	colours := []int{36, 33, 32, 35, 34, 91}
	of := map[string]int{}
	return func(l daruma.Line) error {
		name := l.Function
		if l.Source != "" {
			name += " (" + l.Source + ")"
		}
		text := strings.TrimRight(l.Text, "\n\t ")
		at := l.At.Local().Format("15:04:05.000")
		if !colour {
			_, err := fmt.Fprintf(out, "%s %s  %s\n", at, dash(name), text)
			return err
		}
		c, ok := of[name]
		if !ok {
			c = colours[len(of)%len(colours)]
			of[name] = c
		}
		if l.Stream == daruma.Platform {
			text = "\x1b[2m" + text + "\x1b[0m"
		}
		_, err := fmt.Fprintf(out, "\x1b[2m%s\x1b[0m \x1b[%dm%s\x1b[0m  %s\n", at, c, dash(name), text)
		return err
	}
}
