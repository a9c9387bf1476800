package main

import "syscall"

// bound has a process not be told of Ctrl-C, which is for whoever started it,
// and end with it whatever happens.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
