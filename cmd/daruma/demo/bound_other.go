//go:build !linux

package demo

import "syscall"

// bound has a process not be told of Ctrl-C: that is for the demonstration, which stops it.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
