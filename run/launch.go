package run

import "github.com/daruma-io/daruma/run/sandbox"

// A Launch says how the processes of one function are started: what their
// place must offer, and the command, which depends on where the place puts
// things. Package run/runtimes makes it; this package adds the variables that
// every function gets (region, name, credentials, _HANDLER, …), so a Launch
// holds only what depends on the runtime.
type Launch struct {
	// Version names the runtime in INIT_START: "nodejs:22.v1". Made from the runtime's id when "".
	Version string
	// Mounts are the function's code at /var/task and the runtime's own files, if any.
	Mounts []sandbox.Mount
	// Opt are directories of this machine laid over each other at /opt; later wins.
	// Executables in their extensions/ directory are started as extensions.
	Opt []string
	// Command returns the runtime's process. path is the place's Path: it
	// turns a path as functions know it ("/var/task") into one its processes
	// can use. An entry point that is not there is a *daruma.Failure of type
	// Runtime.InvalidEntrypoint whose message has no "RequestId:" in front.
	Command func(path func(target string) string) (Command, error)
}

// A Command is a runtime's process.
type Command struct {
	Argv []string // as sandbox.Command has it
	// Env are defaults ("PATH=…", "LD_LIBRARY_PATH=…", "TZ=:UTC") that the
	// function's own variables override. Reserved names are set by this
	// package and win over both.
	Env []string
	Dir string // usually where /var/task is
}
