package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	deepMessages = 1_000_000
	deepItems    = 1_000_000
	deepBytes    = 500 // of each item, such that no compression makes them fewer
)

// deepQueue measures a queue that has a million messages in it beside an empty one.
func (w *workshop) deepQueue(ctx context.Context, d time.Duration, out io.Writer) error {
	r, drop, err := w.fresh(ctx)
	if err != nil {
		return err
	}
	defer drop()
	says, err := r.queue("q")
	if err != nil {
		return err
	}
	all, err := newSpoken(says)
	if err != nil {
		return err
	}
	at := &queueServer{server{r.addr(), r.pids(), drop}, all.box}
	send := at.turns(func(b box, c *conn) (int, error) { return 1, b.send(c, 1) })
	most := levels[len(levels)-1]
	empty, err := load(ctx, at.addr, send, most, d, at.pids)
	if err != nil {
		return err
	}
	alone := memoryOfOne(r.address.PID)
	fmt.Fprintf(os.Stderr, "sending %d messages\n", deepMessages)
	if err := fill(ctx, at, deepMessages); err != nil {
		return err
	}
	deep, err := load(ctx, at.addr, send, most, d, at.pids)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nqueue, sends at %d in flight: empty %.0f/s (%.0f µs of CPU each), above %d messages %.0f/s (%.0f µs); %s, %.0f MB where it had %.0f\n",
		most, empty.Rate, empty.CPU, deepMessages, deep.Rate, deep.CPU, sizeOf(filepath.Join(r.data, "cell")), memoryOfOne(r.address.PID), alone)
	return r.again(ctx, out, "queue", func() ([]byte, error) {
		says, err := r.queue("q")
		if err != nil {
			return nil, err
		}
		return says.Receive(queueBatch)
	})
}

// deepTable measures a table that has a million items in it.
func (w *workshop) deepTable(ctx context.Context, out io.Writer) error {
	r, drop, err := w.fresh(ctx)
	if err != nil {
		return err
	}
	defer drop()
	s, err := r.signer("dynamodb")
	if err != nil {
		return err
	}
	at := &tableServer{server{r.addr(), r.pids(), drop}, s}
	if err := at.create(ctx); err != nil {
		return err
	}
	alone := memoryOfOne(r.address.PID)
	fmt.Fprintf(os.Stderr, "putting %d items\n", deepItems)
	began := time.Now()
	if err := until(ctx, at.addr(), deepItems/batchItems, func(i int64) ([]byte, error) {
		items := make([]string, batchItems)
		for j := range items {
			var noise [deepBytes * 3 / 4]byte
			_, _ = rand.Read(noise[:]) // it never fails
			items[j] = item(fmt.Sprintf("d%07d", int(i)*batchItems+j), 0, "0", base64.StdEncoding.EncodeToString(noise[:]))
		}
		return at.batch(ctx, items)
	}); err != nil {
		return err
	}
	fmt.Fprintf(out, "\ntable, %d items of %d bytes: put at %.0f/s in batches; %s, %.0f MB where it had %.0f\n",
		deepItems, deepBytes, deepItems/time.Since(began).Seconds(), sizeOf(filepath.Join(r.data, "cell")), memoryOfOne(r.address.PID), alone)
	return r.again(ctx, out, "table", func() ([]byte, error) {
		s, err := r.signer("dynamodb")
		if err != nil {
			return nil, err
		}
		at := &tableServer{server{addr: r.addr()}, s}
		return at.ask(ctx, "GetItem", `{"TableName":"bench","Key":{"pk":{"S":"d0500000"},"sk":{"S":"00"}}}`)
	})
}

// again stops the node and measures how soon it answers when it is started again.
func (r *running) again(ctx context.Context, out io.Writer, what string, request func() ([]byte, error)) error {
	r.stop()
	began := time.Now()
	if err := r.up(ctx); err != nil {
		return err
	}
	ready := time.Since(began)
	text, err := request()
	if err != nil {
		return err
	}
	answered, err := first(r.addr(), text)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s, restart: ready after %d ms, a first answer %.0f ms later, %.0f MB\n", what, ready.Milliseconds(), answered, memoryOfOne(r.address.PID))
	return err
}
