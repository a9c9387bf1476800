package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endpoint serves the cloud on loopback and returns its address.
func (f *fixture) endpoint(t *testing.T) (address string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String(), serving(t, func(ctx context.Context) error { return f.ServeCloud(ctx, ln, who) })
}

func TestTheEndpointAnswersForTheCloudWhateverTheHost(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Policy = DenyAll })
	address, _ := f.endpoint(t)
	r, err := http.NewRequest("PUT", "http://"+address+"/bucket/key", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "bucket.127.0.0.1"
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if want := "cloud HTTP/1.1 PUT bucket.127.0.0.1/bucket/key tls=false from env-1"; string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestEndingTheServingWaitsForARequestUnderWay(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	f := newFixture(t, func(c *Config) {
		c.Cloud = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()                // told that nobody waits any more
			<-time.After(50 * time.Millisecond) // and slow to put things in order
			close(left)
		})
	})
	address, stop := f.endpoint(t)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-entered
	stop()
	select {
	case <-left:
	default:
		t.Error("serving ended before the request did")
	}
}

func TestAHandlerThatPanicsEndsItsConnectionOnly(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Cloud = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/panic" {
				panic("broken")
			}
			cloud(w, r)
		})
	})
	address, _ := f.endpoint(t)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	if res, err := client.Get("http://" + address + "/panic"); err == nil {
		res.Body.Close()
		t.Errorf("got status %d, want the connection closed", res.StatusCode)
	}
	res, err := client.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if !strings.Contains(f.log.text(), "broken") {
		t.Errorf("got log %q, want the panic in it", f.log.text())
	}
}

func TestAFaultMayCloseTheCloudToAFunction(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Policy = func(context.Context, Dial) Decision { return Decision{Reason: "an experiment cuts it off"} }
	})
	address, _ := f.endpoint(t)
	c, err := net.Dial("tcp", address) // may be reset before it returns
	if err == nil {
		defer c.Close()
		_, err = io.ReadAll(c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if !strings.Contains(f.log.text(), "an experiment cuts it off") {
		t.Errorf("got log %q, want the reason", f.log.text())
	}
}

func TestAConnectionToTheCloudThatIsOpenCanBeCut(t *testing.T) {
	f := newFixture(t, func(*Config) {})
	address, _ := f.endpoint(t)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	get := func() error {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		return errors.Join(res.Body.Close())
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	f.Cut(func(d Dial) bool { return !d.Cloud })
	if err := get(); err != nil {
		t.Errorf("not chosen: got %v", err)
	}
	f.Cut(func(d Dial) bool { return d.Cloud && d.Ref.Function == who.Function })
	if err := get(); err == nil {
		t.Error("got an answer on a connection that was cut")
	}
}
