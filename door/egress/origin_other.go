//go:build !linux

package egress

import (
	"errors"
	"net"
	"net/netip"
)

// originalDestination exists where namespaces do.
func originalDestination(net.Conn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.ErrUnsupported
}
