package main

import "github.com/daruma-io/daruma/run/sandbox/namespace"

// enterPlace becomes the first process of a place when this one was started as such.
func enterPlace() { namespace.Init() }
