package egress

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// pair is two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestOpenConnectionsThatAreChosenAreCut(t *testing.T) {
	e := &Egress{open: map[net.Conn]Dial{}}
	bank, bankEnd := pair(t)
	shop, shopEnd := pair(t)
	done, doneEnd := pair(t)
	e.hold(Dial{Host: "bank"}, bankEnd)
	e.hold(Dial{Host: "shop"}, shopEnd)
	e.hold(Dial{Host: "bank"}, doneEnd)()
	e.Cut(func(d Dial) bool { return d.Host == "bank" })
	if _, err := bank.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v, want a reset", err)
	}
	for name, ends := range map[string][2]net.Conn{"not chosen": {shop, shopEnd}, "released": {done, doneEnd}} {
		if _, err := ends[1].Write([]byte("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ends[0].Read(make([]byte, 1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPacedConnectionKeepsItsPaceUntilItIsLifted(t *testing.T) {
	a, b := pair(t)
	var pace atomic.Int64
	pace.Store(100_000)
	slow := &paced{Conn: b, pace: pace.Load}
	go io.Copy(io.Discard, a)
	began := time.Now()
	if _, err := slow.Write(make([]byte, 20_000)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 190*time.Millisecond {
		t.Errorf("20,000 bytes at 100,000 a second took %s", took)
	}
	began = time.Now()
	time.AfterFunc(50*time.Millisecond, func() { pace.Store(0) })
	if _, err := slow.Write(make([]byte, 10_000_000)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("10 MB took %s after the pace was lifted", took)
	}
	go a.Write(make([]byte, 20_000))
	pace.Store(100_000)
	began = time.Now()
	if _, err := io.ReadFull(slow, make([]byte, 20_000)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 190*time.Millisecond {
		t.Errorf("reading 20,000 bytes at 100,000 a second took %s", took)
	}
}
