//go:build !linux

// Package cgroup keeps groups of processes whose memory and number the kernel
// limits. Only Linux has them; elsewhere the package is empty.
package cgroup
