package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

// dataFlag adds the flag that says whose node is meant.
func dataFlag(c *cobra.Command) *string {
	return c.Flags().String("data", "", "the node's data directory (default: the nearest .daruma here or above)")
}

// jsonFlag adds the flag for output that programs read.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON")
}

// ask sends a request to the node's console and returns its answer, which the caller closes.
func ask(ctx context.Context, a node.Address, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.Console+path, nil)
	if err != nil {
		return nil, err
	}
	return send(req, a)
}

// send sends a request to the node's console and returns its answer, which the caller closes.
func send(req *http.Request, a node.Address) (io.ReadCloser, error) {
	req.Header.Set("Authorization", "Bearer "+a.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, &daruma.Error{Op: "ask the node", Ref: a.Console, Kind: daruma.KindUnavailable, Err: err}
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		var refused struct{ Error, Hint string }
		if json.Unmarshal(text, &refused) == nil && refused.Error != "" {
			told := &daruma.Error{Err: errors.New(refused.Error), Hint: refused.Hint}
			if resp.StatusCode == http.StatusNotFound {
				told.Kind = daruma.KindNotFound
			}
			return nil, told
		}
		return nil, &daruma.Error{Op: "ask the node", Ref: req.URL.Path, Err: fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))}
	}
	return resp.Body, nil
}

// status asks the node what it is and does.
func status(ctx context.Context, a node.Address) (console.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := ask(ctx, a, "GET", "/api/ps")
	if err != nil {
		return console.Status{}, err
	}
	defer body.Close()
	var s console.Status
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, &daruma.Error{Op: "ask the node", Ref: a.Console, Err: err}
	}
	return s, nil
}

// functionNamed returns the name of the function that is called name, or has that logical ID.
func functionNamed(s console.Status, name string) (string, error) {
	var all []string
	for _, f := range s.Functions {
		if f.Name == name || f.LogicalID == name {
			return f.Name, nil
		}
		all = append(all, f.Name)
	}
	return "", &daruma.Error{Op: "find the function", Ref: name, Kind: daruma.KindNotFound,
		Err: fmt.Errorf("%s has no such function", s.App), Hint: "it has " + strings.Join(all, ", ")}
}

// printJSON prints v on one line.
func printJSON(out io.Writer, v any) error { return json.NewEncoder(out).Encode(v) }
