package outside

import (
	"net/netip"
)

// A Class is what an address is, as far as it matters to who connects to it.
type Class uint8

// The classes of address.
const (
	Public   Class = iota // of a host on the Internet
	Private               // of a private network: RFC 1918, RFC 4193, RFC 6598
	Loopback              // of this machine, to itself
	Link                  // of this link only (RFC 3927, RFC 4291)
	Metadata              // where clouds tell machines their credentials
	Nowhere               // no single host's: unspecified, multicast, broadcast, reserved, for benchmarks
)

var classes = [...]string{"a public address", "an address in a private network", "a loopback address", "a link-local address", "an instance metadata address", "no host's address"}

// String returns the class in words, with an article.
func (c Class) String() string {
	if int(c) < len(classes) {
		return classes[c]
	}
	return classes[Nowhere]
}

// ranges are the addresses that are not public. The first that holds an
// address counts, so instance metadata is named before what surrounds it.
var ranges = []struct {
	prefix netip.Prefix
	class  Class
}{
	{netip.MustParsePrefix("169.254.169.254/32"), Metadata},
	{netip.MustParsePrefix("169.254.170.0/24"), Metadata}, // credentials of containers
	{netip.MustParsePrefix("fd00:ec2::/32"), Metadata},
	{netip.MustParsePrefix("fd20:ce::254/128"), Metadata},
	{netip.MustParsePrefix("100.100.100.200/32"), Metadata},
	{netip.MustParsePrefix("168.63.129.16/32"), Metadata},
	{netip.MustParsePrefix("192.0.0.192/32"), Metadata},
	{netip.MustParsePrefix("127.0.0.0/8"), Loopback},
	{netip.MustParsePrefix("::1/128"), Loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), Link},
	{netip.MustParsePrefix("fe80::/10"), Link},
	{netip.MustParsePrefix("0.0.0.0/8"), Nowhere},
	{netip.MustParsePrefix("::/128"), Nowhere},
	{netip.MustParsePrefix("224.0.0.0/4"), Nowhere},
	{netip.MustParsePrefix("ff00::/8"), Nowhere},
	{netip.MustParsePrefix("240.0.0.0/4"), Nowhere},   // broadcast included
	{netip.MustParsePrefix("198.18.0.0/15"), Nowhere}, // for benchmarks of network devices (RFC 2544)
	{netip.MustParsePrefix("2001::/32"), Nowhere},     // Teredo: its end is hidden in the address (RFC 4380)
	{netip.MustParsePrefix("10.0.0.0/8"), Private},
	{netip.MustParsePrefix("172.16.0.0/12"), Private},
	{netip.MustParsePrefix("192.168.0.0/16"), Private},
	{netip.MustParsePrefix("100.64.0.0/10"), Private},
	{netip.MustParsePrefix("fc00::/7"), Private},
	{netip.MustParsePrefix("fec0::/10"), Private}, // site-local, before RFC 3879
}

// embedding are IPv6 ranges that carry an IPv4 address, and where: a packet
// to one may end at the other.
var embedding = []struct {
	prefix netip.Prefix
	offset int // of the four bytes
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible (RFC 4291)
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64 (RFC 6052)
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64, local use (RFC 8215)
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (RFC 2765)
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4 (RFC 3056)
}

// ClassOf returns what an address is. One that carries another in it, as
// those of NAT64 and 6to4 do, is what it carries.
func ClassOf(a netip.Addr) Class {
	if !a.IsValid() {
		return Nowhere
	}
	a = a.Unmap().WithZone("")
	for _, r := range ranges {
		if r.prefix.Contains(a) {
			return r.class
		}
	}
	if a.Is6() {
		b := a.As16()
		for _, m := range embedding {
			if m.prefix.Contains(a) {
				if inner := ClassOf(netip.AddrFrom4([4]byte(b[m.offset : m.offset+4]))); inner != Public {
					return inner
				}
			}
		}
	}
	return Public
}
