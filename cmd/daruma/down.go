package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

func downCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop the node",
		Long:  "Ask the node to stop and wait until it has. Its state stays and is there when it comes up again.",
		Args:  cobra.NoArgs,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	wait := c.Flags().Duration("wait", 30*time.Second, "how long to wait for it to stop")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		body, err := ask(c.Context(), a, "POST", "/api/stop")
		if err != nil {
			return err
		}
		body.Close()
		if err := waitUntilStopped(c.Context(), a, *wait); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, map[string]any{"stopped": true, "pid": a.PID})
		}
		_, err = fmt.Fprintf(w.out, "stopped; its state is in %s\n", a.Data)
		return err
	}
	return c
}

// waitUntilStopped looks every now and then: the process is not our child, so nothing tells us.
func waitUntilStopped(ctx context.Context, a node.Address, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := node.Find("", a.Data); daruma.KindOf(err) == daruma.KindUnavailable {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &daruma.Error{Op: "stop the node", Ref: fmt.Sprintf("process %d", a.PID), Kind: daruma.KindExpired,
				Err: errors.New("it is still running"), Hint: fmt.Sprintf("end it at once with: kill -9 %d (nothing acknowledged is lost)", a.PID)}
		}
	}
}
