//go:build !unix

// Package process makes places of plain processes. It needs a system of the
// Unix family; elsewhere the package is empty.
package process
