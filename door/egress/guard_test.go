package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

func TestAddressesThatLeadInsideAreForbiddenInEveryForm(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.DenyPrivate = true })
	for _, s := range []string{
		"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
		"0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0",
		"169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "fe80::1", "fe80::1%eth0",
		"fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
		"64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
		"224.0.0.1", "239.1.2.3", "ff02::1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "198.19.255.254",
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
	} {
		if _, ok := errors.AsType[*forbidden](f.check(netip.MustParseAddr(s))); !ok {
			t.Errorf("%s: got allowed, want forbidden", s)
		}
	}
	for _, s := range []string{"1.1.1.1", "172.32.0.1", "192.0.2.1", "203.0.113.9", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::", "198.20.0.1", "126.255.255.255", "128.0.0.1", "::ffff:1.1.1.1"} {
		if err := f.check(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: got %v, want allowed", s, err)
		}
	}
	open := newFixture(t, nil)
	for _, s := range []string{"10.0.0.1", "192.168.1.1", "fd12::1"} {
		if err := open.check(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: got %v, want private networks allowed", s, err)
		}
	}
}

func TestPeersBeyondTheBoundAreCountedTogether(t *testing.T) {
	f := newFixture(t, nil)
	for i := range peersMax + 7 {
		f.peer(who, fmt.Sprint("host", i), 443).connections.Add(1)
	}
	if n := len(f.Seen()); n != peersMax+1 {
		t.Errorf("got %d peers, want %d and one for the rest", n, peersMax)
	}
	if got := f.seen("*", 0); got.Connections != 7 {
		t.Errorf("got %+v, want the seven beyond", got)
	}
	f.peer(Ref{Function: "other"}, "elsewhere", 443).connections.Add(1)
	if got := f.seen("elsewhere", 443); got.Connections != 1 {
		t.Errorf("got %+v, want another function's peers kept apart still", got)
	}
	f.peer(who, "host1", 443).connections.Add(1)
	if got := f.seen("host1", 443); got.Connections != 2 {
		t.Errorf("got %+v, want a known one counted on its own", got)
	}
}

func TestAnEgressThatLacksSomethingIsNotBuilt(t *testing.T) {
	whole := newFixture(t, nil).cfg
	for name, change := range map[string]func(*Config){
		"cloud":     func(c *Config) { c.Cloud = nil },
		"authority": func(c *Config) { c.Authority = nil },
		"policy":    func(c *Config) { c.Policy = nil },
		"own":       func(c *Config) { c.Own = nil },
		"limits":    func(c *Config) { c.Limits.Idle = -time.Second },
		"names":     func(c *Config) { c.Limits.Names = synthetics },
	} {
		cfg := whole
		change(&cfg)
		if _, err := New(cfg); daruma.KindOf(err) != daruma.KindInvalid || err == nil {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestAnAppIsAHostToWhoAsksForItByName(t *testing.T) {
	for name, want := range map[string]bool{
		"abc.lambda-url.us-east-1.on.aws": true, "abc.execute-api.us-east-1.amazonaws.com": true,
		"sqs.us-east-1.amazonaws.com": false, "x.execute-api.example.com": false, "on.aws.example.com": false,
	} {
		if got := IsSite(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
