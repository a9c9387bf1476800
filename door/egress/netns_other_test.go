//go:build !linux

package egress

import "errors"

func inWorld() (int, bool) { return 0, false }
func makeWorld() error     { return errors.New("this system has no network namespaces") }
