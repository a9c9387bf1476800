//go:build !race

package queue_test

const race = false // no race detector, which makes everything ten times as slow
