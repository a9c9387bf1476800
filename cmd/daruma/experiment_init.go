package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/propose"
)

func experimentInitCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "init [DIR|TEMPLATE]",
		Short: "Propose the experiments that fit a template",
		Long: `Read the template and write the experiments that fit it into experiments/ beside
it: each function killed, timed out and throttled; each thing it needs slow, failing,
down and throttled; each queue with poison, each event twice; at last the platform
killed, where work must outlive it. Files that are there already stay as they are. Events are taken from events/NAME.json where there are any.`,
		Example: `  daruma experiment init
  daruma experiment init --function Charge --dry-run`,
		Args: cobra.MaximumNArgs(1),
	}
	asJSON := jsonFlag(c)
	var f appFlags
	f.add(c)
	function := c.Flags().String("function", "", "only those of this function")
	dry := c.Flags().Bool("dry-run", false, "say what would be written, and write nothing")
	c.RunE = func(c *cobra.Command, args []string) error {
		m, err := f.wired(c, templatePath(w, args))
		if err != nil {
			return err
		}
		if *function != "" && m.Function(*function) == nil {
			return &daruma.Error{Op: "propose experiments", Ref: *function, Kind: daruma.KindNotFound, Err: errors.New("there is no such function")}
		}
		dir := filepath.Join(m.App.Dir, experimentsDir)
		type written struct {
			File  string `json:"file"`
			Title string `json:"title"`
			New   bool   `json:"new"`
		}
		list := []written{}
		for _, p := range propose.All(m, *function) {
			one := written{filepath.Join(dir, p.File), p.Title, false}
			_, err := os.Stat(one.File)
			if one.New = errors.Is(err, fs.ErrNotExist); one.New && !*dry {
				err = os.MkdirAll(dir, 0o755)
				if err == nil {
					err = os.WriteFile(one.File, []byte(p.Text), 0o644)
				}
				if err != nil {
					return err
				}
			}
			list = append(list, one)
		}
		if *asJSON {
			return printJSON(w.out, list)
		}
		if len(list) == 0 {
			fmt.Fprintln(w.out, "no experiment fits this app: it has no function that is called or handed anything")
			return nil
		}
		table(w.out, "STATE\tEXPERIMENT\tTITLE", func(row func(...any)) {
			for _, one := range list {
				state := "new"
				if !one.New {
					state = "kept"
				}
				row(state, filepath.Base(one.File), one.Title)
			}
		})
		fmt.Fprintf(w.out, "\n%d experiments in %s. Run them, a minute in a second: daruma experiment run --all --time-scale 60\n", len(list), dir)
		return nil
	}
	return c
}
