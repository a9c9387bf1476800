package demo

import "syscall"

// bound has a process not be told of Ctrl-C, which is for the demonstration,
// and end with it whatever happens.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
