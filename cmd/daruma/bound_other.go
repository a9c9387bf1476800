//go:build !linux

package main

import "syscall"

// bound has a process not be told of Ctrl-C: that is for whoever started it, which stops it.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
