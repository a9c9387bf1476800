package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// first sends one request on a new connection and returns how long its answer took, in milliseconds.
func first(addr string, request []byte) (float64, error) {
	start := time.Now()
	c, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(start.Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.ask(request); err != nil {
		return 0, err
	}
	return float64(time.Since(start).Microseconds()) / 1000, nil
}

// memoryOfOne returns the memory of one process in MB.
func memoryOfOne(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}
