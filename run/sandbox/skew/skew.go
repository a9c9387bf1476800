// Package skew gives processes a time of day that is ahead of the machine's or
// behind it, whatever they are written in: static binaries and what they start
// included.
//
// A process reads the time from a page that the kernel maps into it, without a
// call. So each program is told, between its exec and its first instruction,
// that there is no such page: its start vector's entry is struck out, for which
// it is traced as long as the exec takes, and no longer. What it then asks the
// kernel for, a filter of system calls leads to the [Clock] of its place.
//
//	process ── execve ─────────► Clock: trace, let it go on, strike the page out, leave
//	        ── clock_gettime ──► Clock: the machine's time and the skew, into its memory
//
// It moves the clocks that tell the time of day: real time, coarse or not, its
// alarm clock, and atomic time. It does not move what runs since the machine or
// the process began, and so no wait for a while; nor the times of files, the
// machine's start in /proc, or timers and waits until a time of day, which the
// kernel compares with its own. A time of day costs its process microseconds,
// and any other clock a system call; what a program does not ask about costs
// nothing. A program that brings a filter of its own with a listener is refused
// it, since the kernel gives each process one.
package skew

import "errors"

// errRefused is why a program is not executed at all: it would see the
// machine's time.
var errRefused = errors.New("its clock cannot be moved")
