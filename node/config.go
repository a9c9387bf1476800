package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/outside"
	"github.com/daruma-io/daruma/watch/otlp"
)

// Where a node listens unless it is told otherwise.
const (
	AWSAddrDefault     = "127.0.0.1:4566"
	WebAddrDefault     = "127.0.0.1:3000"
	ConsoleAddrDefault = "127.0.0.1:4570"
)

// Account is the account every app lives in: twelve digits that no real account has.
const Account = "000000000000"

// How what fails is treated. Strict is exactly as on AWS. Resilient holds a
// function's events while most of them fail, and spends no attempt on it.
const (
	SemanticsResilient = "resilient"
	SemanticsStrict    = "strict"
)

// Config is everything a node is made of.
type Config struct {
	Template         string            // a template or the directory it is in
	Data             string            // where state is kept; DataDir beside the template when ""
	AWSAddr          string            // host:port of each door; port 0 picks one
	WebAddr          string            //
	ConsoleAddr      string            //
	Region           string            // the template's own when ""
	StackName        string            // the template's own when ""
	ConfigEnv        string            // the environment in samconfig.toml; "default" when ""
	Params           map[string]string // values of the template's parameters
	AllowUnsupported bool              // go on without what is not supported
	Semantics        string            // SemanticsResilient or SemanticsStrict; resilient when ""
	Egress           string            // "allow" or "deny"; "allow" when ""
	Isolation        string            // "auto", "namespaces" or "processes"; "auto" when ""
	ExactRuntimes    bool              // fetch the version of Node.js a function asks for, rather than take the nearest
	AllowPostTo      []string          // addresses inside that messages of topics may be posted to
	AllowNotifyTo    []string          // addresses inside that notices may go to, beside those of daruma.yaml
	Record           []string          // functions, by name or logical ID, whose exchanges with hosts outside are kept with their failures
	RecordRedact     []string          // names of headers, parameters and members whose values are not kept of these
	Watch            bool              // build again when code changes
	TimeScale        int               // how many times as fast as the machine's clock the app's runs; 1 when 0
	OTLP             string            // URL of a collector that is sent every span; "" for none
	Version          string            // of this program, to be shown

	Log      *slog.Logger                // what a developer of daruma would want to know; discarded when nil
	Progress func(text string)           // told of long work, a line at a time; may be nil
	Lookup   func(string) (string, bool) // the environment's variables: PATH, HOME, …

	Experiments console.Experiments // how the console runs experiments: from outside of the node, as anyone would
}

// Validate fills in defaults and says all that is wrong.
func (c *Config) Validate() error {
	var errs []error
	if c.TimeScale == 0 {
		c.TimeScale = 1
	}
	if c.TimeScale < 1 || c.TimeScale > daruma.TimeScaleMax {
		errs = append(errs, fmt.Errorf("time-scale: %d is not a number from 1 to %d", c.TimeScale, daruma.TimeScaleMax))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Lookup == nil {
		c.Lookup = func(string) (string, bool) { return "", false }
	}
	for _, choice := range []struct {
		name  string
		value *string
		from  []string // the first is the default
	}{
		{"egress", &c.Egress, []string{"allow", "deny"}},
		{"semantics", &c.Semantics, []string{SemanticsResilient, SemanticsStrict}},
		{"isolation", &c.Isolation, []string{"auto", "namespaces", "processes"}},
	} {
		if *choice.value == "" {
			*choice.value = choice.from[0]
		}
		if !slices.Contains(choice.from, *choice.value) {
			errs = append(errs, fmt.Errorf("%s: %q is none of %s", choice.name, *choice.value, strings.Join(choice.from, ", ")))
		}
	}
	for _, addr := range []struct {
		name, def string
		value     *string
	}{
		{"aws-addr", AWSAddrDefault, &c.AWSAddr},
		{"web-addr", WebAddrDefault, &c.WebAddr},
		{"console-addr", ConsoleAddrDefault, &c.ConsoleAddr},
	} {
		if *addr.value == "" {
			*addr.value = addr.def
		}
		// No door has TLS, and web APIs have no authentication but the app's own.
		if err := wire.CheckBind(*addr.value, false); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", addr.name, err))
		}
	}
	for _, s := range c.AllowPostTo {
		if _, err := outside.ParseAllow(s); err != nil {
			errs = append(errs, fmt.Errorf("allow-post-to: %w", err))
		}
	}
	for _, s := range c.AllowNotifyTo {
		if _, err := outside.ParseAllow(s); err != nil {
			errs = append(errs, fmt.Errorf("allow-notify-to: %w", err))
		}
	}
	if c.OTLP != "" {
		if _, err := otlp.Endpoint(c.OTLP); err != nil {
			errs = append(errs, fmt.Errorf("otlp: %w", err))
		}
	}
	if c.Template == "" {
		errs = append(errs, errors.New("no template is named"))
	}
	if err := errors.Join(errs...); err != nil {
		return &daruma.Error{Op: "configure the node", Kind: daruma.KindInvalid, Err: err}
	}
	return nil
}

// DataFor returns the data directory of the node that cfg describes, absolute.
func DataFor(cfg Config) (string, error) {
	dir := cfg.Data
	if dir == "" {
		dir = cfg.Template
		if info, err := os.Stat(dir); err != nil {
			return "", &daruma.Error{Op: "find the template", Ref: cfg.Template, Kind: daruma.KindNotFound, Err: err}
		} else if !info.IsDir() {
			dir = filepath.Dir(dir)
		}
		dir = filepath.Join(dir, DataDir)
	}
	return filepath.Abs(dir)
}

// variable returns one of the environment's variables, or def.
func (c Config) variable(name, def string) string {
	if v, ok := c.Lookup(name); ok && v != "" {
		return v
	}
	return def
}

// cacheDir is where what any node of this user may use again is kept.
func (c Config) cacheDir(data string) string {
	if dir := c.variable("DARUMA_CACHE", ""); dir != "" {
		return dir
	}
	if dir := c.variable("XDG_CACHE_HOME", ""); filepath.IsAbs(dir) {
		return filepath.Join(dir, "daruma")
	}
	if home := c.variable("HOME", ""); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "daruma")
	}
	return filepath.Join(data, "cache")
}

// listen opens a TCP listener.
func listen(ctx context.Context, name, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &daruma.Error{Op: "listen", Ref: name + " " + addr, Kind: daruma.KindLocked, Err: err, Hint: "another program may have this port: choose another with --" + name + ", or port 0 to have one picked"}
	}
	return l, nil
}
