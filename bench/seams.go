package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/node"
)

// seams are the places where faults stand on the way of a warm invocation, as
// the product has them and as it would be without. One that is not found any
// more is an error: this table then says nothing.
var seams = []struct{ file, with, without string }{
	{"node/faults.go", "taping{n.faults.Runner(n.pool), n}", "taping{n.pool, n}"},
	{"node/faults.go", "return runtime.Serve(ctx, ln, guest{station, s})", "return runtime.Serve(ctx, ln, s)"},
	{"node/healing.go", "if o.faults != nil && s.Kind == daruma.SpanRun {", "if false {"},
	{"node/breaking.go", "ctx, bare := n.faults.Web(r.Context(), fault.Shown{API: api.LogicalID, Preflight: preflight})", "ctx, bare := r.Context(), false"},
	{"node/node.go", "return &troubled{h, n}", "return h"},
}

// Slices of time in which the two take turns.
const (
	seamSlice = 250 * time.Millisecond
	seamTurns = 60 // of each
)

// seamless builds the product without the seams of faults, from the same sources.
func (w *workshop) seamless(ctx context.Context) (string, error) {
	from, err := root()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(w.dir, "seamless-")
	if err != nil {
		return "", err
	}
	texts := map[string]string{}
	for _, s := range seams {
		text, ok := texts[s.file]
		if !ok {
			raw, err := os.ReadFile(filepath.Join(from, s.file))
			if err != nil {
				return "", err
			}
			text = string(raw)
		}
		if strings.Count(text, s.with) != 1 {
			return "", fmt.Errorf("%s has no seam %q", s.file, s.with)
		}
		texts[s.file] = strings.Replace(text, s.with, s.without, 1)
	}
	replace := map[string]string{}
	for name, text := range texts {
		to := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(from, name)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "daruma")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay", overlay, "-o", program, "./cmd/daruma")
	build.Dir, build.Env = from, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build without seams: %w\n%s", err, out)
	}
	return program, nil
}

// faultSeams prints what the seams of faults cost a warm invocation when no
// fault is in force: the product, the product without them, and the product
// once more, in slices of time that take turns. What the product differs from itself by is noise.
func (w *workshop) faultSeams(ctx context.Context, out io.Writer) error {
	program, err := w.seamless(ctx)
	if err != nil {
		return err
	}
	from, err := root()
	if err != nil {
		return err
	}
	nodes := []*running{{daruma: w.daruma}, {daruma: program}, {daruma: w.daruma}} // with, without, with again
	for i, r := range nodes {
		r.app = filepath.Join(w.dir, fmt.Sprintf("seam-%d", i))
		r.data = filepath.Join(r.app, node.DataDir)
		if err := os.CopyFS(r.app, os.DirFS(filepath.Join(from, "bench", "app"))); err != nil {
			return err
		}
		if err := r.up(ctx); err != nil {
			return err
		}
		defer r.stop()
	}
	times := make([][]float64, len(nodes)) // the median of each slice, in µs
	for i := range seamTurns + 4 {
		for at := range nodes {
			if i%2 == 1 {
				at = len(nodes) - 1 - at // there and back, so that what drifts meets all alike
			}
			addr := strings.TrimPrefix(nodes[at].address.Web, "http://")
			start := time.Now()
			got, err := drive(ctx, addr, repeat(post(languages[0].path, addr)), 1, start, start.Add(seamSlice))
			if err != nil {
				return err
			}
			if i < 4 || len(got.times) == 0 { // it warms up
				continue
			}
			slices.Sort(got.times)
			times[at] = append(times[at], float64(got.times[len(got.times)/2].Nanoseconds())/1000)
		}
	}
	fmt.Fprintf(out, "fault seams, no fault in force: a warm invocation takes %.1f µs (p50), %.1f µs without them: %+.2f %%; the product differs from itself by %+.2f %% (medians of %d slices that take turns)\n",
		middle(times[0]), middle(times[1]), apart(times[0], times[1]), apart(times[0], times[2]), seamTurns)
	return nil
}

// apart is by how many per cent one is more than the other, in the median of neighbouring slices.
func apart(one, other []float64) float64 {
	var all []float64
	for i := range min(len(one), len(other)) {
		all = append(all, (one[i]/other[i]-1)*100)
	}
	return middle(all)
}

func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
