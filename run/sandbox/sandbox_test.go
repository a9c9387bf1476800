package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

func TestSocketsAreClosedWithTheirPlace(t *testing.T) {
	var s sandbox.Sockets
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one, err := s.Listener(listen())
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := one.(syscall.Conn).SyscallConn(); err != nil || raw == nil {
		t.Errorf("the socket itself: got %v, %v", raw, err)
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.PacketConn(udp)
	if err != nil {
		t.Fatal(err)
	}
	early, err := s.Listener(listen())
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := one.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after the end: got %v", err)
	}
	if _, _, err := two.ReadFrom(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after the end: got %v", err)
	}
	late := listen()
	if _, err := s.Listener(late); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener after the end: got %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it is still open: %v", err)
	}
}

func TestWhatTheSystemSaysHasAKind(t *testing.T) {
	for err, want := range map[error]daruma.Kind{
		os.ErrNotExist: daruma.KindNotFound, syscall.EACCES: daruma.KindDenied, context.Canceled: daruma.KindExpired, context.DeadlineExceeded: daruma.KindExpired,
		syscall.ENOEXEC: daruma.KindInvalid, syscall.ENOTDIR: daruma.KindInvalid, syscall.EADDRINUSE: daruma.KindConflict, net.ErrClosed: daruma.KindUnavailable,
		&daruma.Error{Kind: daruma.KindTooLarge, Err: errors.New("much")}: daruma.KindTooLarge,
	} {
		if got := sandbox.KindOf(fmt.Errorf("start: %w", err)); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
	err := sandbox.Failed("start", "F-1", os.ErrNotExist)
	if daruma.KindOf(err) != daruma.KindNotFound || !errors.Is(err, os.ErrNotExist) || err.Error() != "F-1: start: file does not exist" {
		t.Errorf("got %v of kind %v", err, daruma.KindOf(err))
	}
	if err := sandbox.Failed("start", "F-1", nil); err != nil {
		t.Errorf("got %v where nothing is wrong", err)
	}
}
