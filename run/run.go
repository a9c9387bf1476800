// Package run keeps function environments: starting, warm, busy, gone. Its
// [Pool] is the product's daruma.Runner.
//
// An environment is one place (package sandbox) for one version of one
// function. It runs one invocation at a time, lives as long as it is used,
// and goes through one life of its processes after the other: when they
// crash or are killed at a deadline, /tmp stays and the next invocation
// starts them again. A [Session] is one such life, as the Runtime API sees it.
//
//	     Run ──► queue ──► environment (one goroutine keeps it)
//	                ▲         starting ─► busy ⇄ warm ─► gone
//	                │             ▲         │ timeout, crash
//	released when   │             └ resetting ◄┘
//	all called next └──────────── session ◄── door/runtime
//
// It promises one outcome for each Run; that an environment is used again
// only when the runtime and every extension have asked for the next event;
// and that Close leaves no process. It keeps nothing on disk and never runs an
// event twice by itself. A function's deadline, its start and its shutdown are
// measured by the machine's clock, because its process reads that one too;
// how long an idle environment is kept, and how long an event waited, goes by
// Config.Clock.
//
// All exported methods may be called from any goroutine.
package run

import (
	"cmp"
	"context"
	"net"
	goruntime "runtime"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run/sandbox"
)

// Config is what a Pool needs. Maker, View, Launch and Serve are required.
type Config struct {
	Maker sandbox.Maker
	// View returns the catalog as it is now.
	View func() *catalog.View
	// Launch says how a version of a function is started.
	Launch func(f *catalog.Function) (Launch, error)
	// Serve speaks the Runtime API for a session until ctx ends; then it
	// closes ln and every connection, and returns. It is door/runtime's Serve.
	Serve func(ctx context.Context, ln net.Listener, s *Session) error
	// Services listen in every environment, beside the Runtime API.
	Services []Service
	// Credentials returns the variables with which a function's SDK signs:
	// AWS_ACCESS_KEY_ID=…, AWS_SECRET_ACCESS_KEY=…, AWS_SESSION_TOKEN=…. May be nil.
	Credentials func(f *catalog.Function) []string
	// Environ returns variables that an environment sees instead of all others of
	// their names, and names without a value of those that it does not see. May be nil.
	Environ func(f *catalog.Function, environment string) []string
	// Spec completes the place of a function: limits, resolver, trust. The ID,
	// mounts, layers, /tmp and memory are set already. May be nil.
	Spec     func(f *catalog.Function, spec *sandbox.Spec)
	Observer daruma.Observer // nil: nobody is told
	Clock    daruma.Clock    // daruma.SystemClock when nil

	InitTime           time.Duration // of the first start of processes; 10 s when 0, as on AWS
	EnvironmentsMax    int           // of all functions together; 100 when 0
	AccountConcurrency int           // invocations in flight, of all functions; 1000 when 0
	IdleTimeout        time.Duration // an idle environment is closed after it; 10 minutes when 0
	// QueueBriefly is how long an event waits for a busy environment before
	// another is started while all CPUs are busy, behind slow runs; 20 ms when 0. While a CPU is
	// idle nothing waits. AWS scales out at once; on one machine more
	// processes than its CPUs can run only slow each other down.
	QueueBriefly time.Duration
	// FreezeAfter is how long an environment stays idle before its processes
	// are frozen; 100 ms when 0, never when negative. AWS freezes at once. Here
	// a process may go on in the background for that long, which spares a
	// warm function two freezes for every event.
	FreezeAfter time.Duration
}

// A Service is something that listens in each environment, from its making
// until it is gone. Exactly one of Serve, ServePacket and Reach is set.
type Service struct {
	Address string // as processes of a place of its own reach it: "127.0.0.1:2773"
	// Env returns variables that tell functions the address they reach it at. May be nil.
	Env         func(address string) []string
	Serve       func(ctx context.Context, ln net.Listener, ref Ref) error
	ServePacket func(ctx context.Context, pc net.PacketConn, ref Ref) error
	// Reach listens nowhere: it reaches into the place, by Ref.Dial.
	Reach func(ctx context.Context, ref Ref) error
}

// A Ref tells a service which environment it serves.
type Ref struct {
	Environment string
	Function    *catalog.Function
	// Current returns the request the environment is busy with and its
	// trace's root, or that of the last one when it is idle.
	Current func() (request, trace string)
	// Dial connects to where a process of the place listens.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Limits of AWS's life cycle.
const (
	initMax          = 10 * time.Second // then the processes are started again, inside the first invocation
	extensionsMax    = 10
	shutdownInternal = 500 * time.Millisecond
	shutdownExternal = 2 * time.Second
	runtimeShare     = 0.3 // of the shutdown time is the runtime's, before the extensions'
)

// capacityWait is how long an event waits for one of EnvironmentsMax environments.
const capacityWait = time.Second

// withDefaults returns c with every zero field set.
func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = daruma.SystemClock{}
	}
	if c.Credentials == nil {
		c.Credentials = func(*catalog.Function) []string { return nil }
	}
	if c.Environ == nil {
		c.Environ = func(*catalog.Function, string) []string { return nil }
	}
	if c.Spec == nil {
		c.Spec = func(*catalog.Function, *sandbox.Spec) {}
	}
	c.InitTime = cmp.Or(c.InitTime, initMax)
	c.EnvironmentsMax = cmp.Or(c.EnvironmentsMax, 100)
	c.AccountConcurrency = cmp.Or(c.AccountConcurrency, 1000)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 10*time.Minute)
	c.QueueBriefly = cmp.Or(c.QueueBriefly, 20*time.Millisecond)
	c.FreezeAfter = cmp.Or(c.FreezeAfter, 100*time.Millisecond)
	return c
}

// cores is how many processes run at once.
func cores() int { return goruntime.NumCPU() }
