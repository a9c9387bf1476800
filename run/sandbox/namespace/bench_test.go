//go:build linux

package namespace

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

// percentiles reports the middle and the slow end of what was measured.
func percentiles(b *testing.B, name string, all []time.Duration) {
	slices.Sort(all)
	at := func(p float64) float64 {
		return float64(all[int(float64(len(all)-1)*p)].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), name+"-p50-ms")
	b.ReportMetric(at(0.99), name+"-p99-ms")
}

// place is the spec of an ordinary function.
func ordinary(i int) sandbox.Spec {
	return sandbox.Spec{
		ID: fmt.Sprintf("bench-%d", i), MemoryBytes: 128 << 20, TmpBytes: 512 << 20, Processes: 1024, Files: 1024,
		Mounts: []sandbox.Mount{{Source: "/usr/bin", Target: "/var/task"}, {Source: "/usr/lib", Target: "/var/runtime"}},
		Opt:    []string{"/usr/lib", "/usr/share"}, Resolver: "127.0.0.1", Trust: "/etc/hostname",
		Redirect: sandbox.Redirect{TCP: 15001, DNS: 53},
	}
}

func benchmark(b *testing.B, spare int, rested bool) {
	m := open(b, Config{Spare: spare, Redirect: sandbox.Redirect{TCP: 15001, DNS: 53}})
	var made, listened, started, ran, closed []time.Duration
	i := 0
	for b.Loop() {
		for rested && len(m.spare) < spare {
			time.Sleep(time.Millisecond)
		}
		i++
		begin := time.Now()
		lap := func(all *[]time.Duration) {
			*all = append(*all, time.Since(begin))
			begin = time.Now()
		}
		p, err := m.Make(b.Context(), ordinary(i))
		if err != nil {
			b.Fatal(err)
		}
		lap(&made)
		if _, err := p.Listen("127.0.0.1:9001"); err != nil {
			b.Fatal(err)
		}
		lap(&listened)
		pr, err := p.Start(sandbox.Command{Argv: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		lap(&started)
		<-pr.Done()
		lap(&ran)
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		lap(&closed)
	}
	b.ReportMetric(0, "ns/op")
	percentiles(b, "make", made)
	percentiles(b, "listen", listened)
	percentiles(b, "start", started)
	percentiles(b, "true", ran)
	percentiles(b, "close", closed)
}

func BenchmarkPlaceWithASpareRoom(b *testing.B)    { benchmark(b, 4, true) }
func BenchmarkPlaceWithoutASpareRoom(b *testing.B) { benchmark(b, 0, false) }
