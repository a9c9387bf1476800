package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daruma-io/daruma"
)

// helpColumns is how wide help is: a terminal has 80 at least.
const helpColumns = 80

// settle says the same of every command below root: how help is laid out, and
// what is said of a command line that is wrong, with exitUsage.
func settle(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	root.SetVersionTemplate("daruma {{.Version}}\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", helpColumns)))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return wrong(c, err.Error()) })
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return checkFlags(c) }
	settleCommand(root)
}

// wrong is the error of a command line.
func wrong(c *cobra.Command, text string) error {
	return errUsage{fmt.Errorf("%s\nSee: %s --help", text, c.CommandPath())}
}

// settleCommand makes every command refuse arguments it cannot use.
func settleCommand(c *cobra.Command) {
	for _, sub := range c.Commands() {
		settleCommand(sub)
	}
	c.Long = wrapped(c.Long)
	c.SuggestionsMinimumDistance = 2
	if !c.Runnable() { // it only holds others
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	takes := c.Args
	c.Args = func(c *cobra.Command, given []string) error {
		var err error
		if takes != nil {
			err = takes(c, given)
		}
		switch {
		case c.HasSubCommands() && len(given) > 0 && (takes == nil || err != nil):
			text := fmt.Sprintf("unknown command %q", strings.TrimPrefix(c.CommandPath()+" "+given[0], c.Root().Name()+" "))
			if near := c.SuggestionsFor(given[0]); len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return wrong(c, text)
		case err != nil:
			return wrong(c, fmt.Sprintf("%s given, and it is: %s", counted(len(given), "argument is", "arguments are"), c.UseLine()))
		}
		return nil
	}
}

// checkFlags refuses flags that do not go together, and says which are missing.
func checkFlags(c *cobra.Command) error {
	var missing []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(f.Annotations[cobra.BashCompOneRequiredFlag], "true") && !f.Changed {
			missing = append(missing, "--"+f.Name)
		}
	})
	if len(missing) > 0 {
		return wrong(c, strings.Join(missing, " and ")+" must be given")
	}
	if err := c.ValidateFlagGroups(); err != nil {
		// … [event file sample] …; [event file] were all set
		text := err.Error()
		if _, given, ok := strings.Cut(text, "; ["); ok {
			given, _, _ = strings.Cut(given, "]")
			text = "--" + strings.Join(strings.Fields(given), " and --") + " do not go together"
		}
		return wrong(c, text)
	}
	return nil
}

// checkScale refuses a --time-scale that is none.
func checkScale(n int) error {
	if n < 1 || n > daruma.TimeScaleMax {
		return errUsage{fmt.Errorf("--time-scale %d is not a number from 1 to %d", n, daruma.TimeScaleMax)}
	}
	return nil
}

// counted is a number of things in words: no things, 1 thing, 2 things.
func counted(n int, one, more string) string {
	switch n {
	case 0:
		return "no " + more
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// wrapped sets paragraphs anew, in lines of helpColumns. Lines that are indented stay as they are.
func wrapped(text string) string {
	var out strings.Builder
	column := 0
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || line[0] == ' ' {
			if column > 0 {
				out.WriteByte('\n')
			}
			out.WriteString(line)
			column = 0
			continue
		}
		for _, word := range words {
			switch n := utf8.RuneCountInString(word); {
			case column == 0:
				column = n
			case column+1+n > helpColumns:
				out.WriteByte('\n')
				column = n
			default:
				out.WriteByte(' ')
				column += 1 + n
			}
			out.WriteString(word)
		}
	}
	return out.String()
}
