// Package run keeps function environments: starting, warm, busy, gone. It is
// the product's daruma.Runner.
package run
