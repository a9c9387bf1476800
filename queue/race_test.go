//go:build race

package queue_test

const race = true
