// Command bench measures Daruma beside floors and peers, in one run, and
// prints ratios: absolute numbers depend on the machine and on what else it
// does, and are printed for orientation only.
//
// Floors: a canned answer over HTTP (what any server costs, and what one costs
// that is built on net/http) and a bare Runtime API loop with the same function processes (what any platform costs that
// keeps the protocol). Peers are measured when they can be installed: AWS's
// Runtime Interface Emulator and serverless-offline.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

var levels = []int{1, 16, 64}

func main() {
	duration := flag.Duration("d", 3*time.Second, "measured time per figure")
	rounds := flag.Int("rounds", 3, "rounds; the median of each figure is printed")
	only := flag.String("only", "", "measure only what contains this text, and its floors; \"fault seams\", \"at rest\" and \"pending events\" are the last lines")
	deep := flag.Bool("deep", false, "measure a queue and a table with a million in them too")
	floor := flag.String("floor", "", "be this floor, until standard input ends (used by the benchmark itself)")
	function := flag.String("function", "", "the floor's function")
	work := flag.String("inside", "", "do this inside of the product's parts and print what was measured (used by the benchmark itself)")
	app := flag.String("app", "", "where the functions' sources are")
	dir := flag.String("dir", "", "where to build them")
	flag.Parse()
	if *work != "" {
		if err := inside(*work, *duration, *dir); err != nil {
			fmt.Fprintln(os.Stderr, "inside:", err)
			os.Exit(1)
		}
		return
	}
	if *floor != "" {
		if err := serveFloor(*floor, *function, *app, *dir); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx, *duration, *rounds, *only, *deep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, duration time.Duration, rounds int, only string, deep bool) error {
	dir, err := os.MkdirTemp("", "daruma-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the machine's place for what is temporary
	w, err := prepare(ctx, dir)
	if err != nil {
		return err
	}
	defer w.stop()
	subjects := []subject{w.canned(canned), w.canned(cannedLibrary)}
	for _, lang := range languages {
		subjects = append(subjects, w.bare(lang), w.web(lang), w.invoke(lang))
	}
	subjects = append(subjects, w.events()...)
	subjects = append(subjects, w.queues()...)
	subjects = append(subjects, w.tables()...)
	subjects = append(subjects, w.topics()...)
	subjects = append(subjects, w.peers()...)
	results, missing := map[string]*figures{}, map[string]error{}
	for round := range rounds {
		for _, s := range subjects {
			if !wanted(s, subjects, only) {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d: %s\n", round+1, s.name)
			got, err := s.measure(ctx, duration)
			if err != nil {
				fmt.Fprintf(os.Stderr, "  not measured: %v\n", err)
				missing[s.name] = err
				continue
			}
			if results[s.name] == nil {
				results[s.name] = &figures{}
			}
			results[s.name].add(got)
		}
	}
	print(os.Stdout, subjects, results)
	for _, s := range subjects {
		if err := missing[s.name]; err != nil {
			fmt.Printf("not measured: %s: %v\n", s.name, err)
		}
	}
	fmt.Print(alone(results))
	if deep && (within(only, "queues") || strings.HasPrefix(only, "queues")) {
		if err := w.deepQueue(ctx, duration, os.Stdout); err != nil {
			return err
		}
	}
	if deep && (within(only, "tables") || strings.HasPrefix(only, "tables")) {
		if err := w.deepTable(ctx, os.Stdout); err != nil {
			return err
		}
	}
	if within(only, "fault seams") {
		if err := w.faultSeams(ctx, os.Stdout); err != nil {
			return err
		}
	}
	if within(only, "at rest") {
		if err := w.atRest(ctx, os.Stdout); err != nil {
			return err
		}
	}
	if within(only, "pending events") {
		return w.pending(ctx, os.Stdout)
	}
	return nil
}

// wanted says whether a subject was asked for, or is the floor of one that was.
func wanted(s subject, all []subject, only string) bool {
	return strings.Contains(s.name, only) || slices.ContainsFunc(all, func(o subject) bool { return o.floor == s.name && strings.Contains(o.name, only) })
}

// print prints one line per subject, with the ratio to its floor.
func print(out *os.File, subjects []subject, results map[string]*figures) {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "\n\tin flight\tper s\tp50 µs\tp99 µs\tCPU µs each\tMB\t÷ floor\tp50 × floor\n")
	for _, s := range subjects {
		got := results[s.name]
		if got == nil {
			continue
		}
		for _, c := range levels {
			m := got.median(c)
			if m.Rate == 0 {
				continue
			}
			ratio, slower := "", ""
			if floor := results[s.floor]; floor != nil {
				f := floor.median(c)
				ratio = fmt.Sprintf("%.2f", m.Rate/f.Rate)
				slower = fmt.Sprintf("%.2f", m.P50/f.P50)
			}
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t%s\n", s.name, c, m.Rate, m.P50, m.P99, m.CPU, m.Memory, ratio, slower)
		}
	}
	t.Flush()
}

// root returns the module's directory.
func root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/daruma-io/daruma").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Clean(strings.TrimSpace(string(out))), nil
}

// within says whether a part of a subject's name was asked for.
func within(part, name string) bool { return strings.Contains(name, part) }
