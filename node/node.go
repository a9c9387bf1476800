// Package node builds one whole node from one [Config]: it is the table of
// contents of the product. [Open] makes the parts in the order in which they
// depend on each other and brings the template's app into being; [Node.Run]
// starts them and waits for them.
//
// It decides nothing that a part could decide: what it holds is the wiring,
// the build that precedes a deployment, and the watch over source files.
package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/door/web"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/experiment/conduct"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/notify"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/parameter"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/rehearse"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtimes"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/scribe"
	"github.com/daruma-io/daruma/shard"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/topic"
	"github.com/daruma-io/daruma/watch"
	"github.com/daruma-io/daruma/watch/otlp"
)

// A Node is one app with its state and its doors. Run may be called once; the
// other methods may be called from any goroutine.
type Node struct {
	cfg     Config
	address Address
	clock   *daruma.ScaledClock // the app's: what is stored and every wait for it go by this one
	ready   chan struct{}
	stop    chan struct{} // closed by Stop
	stopped sync.Once
	ending  chan struct{} // closed when Run ends, before the doors do

	reproducing
	subscribing
	alarming

	listeners  listeners
	watch      *watch.Watch
	export     *otlp.Exporter // nil: spans stay here
	cell       *cell.Cell
	catalog    *catalog.Catalog
	keys       *keyring
	egress     *egress.Egress
	maker      sandbox.Maker
	runtimes   *runtimes.Runtimes
	pool       *run.Pool
	machine    *delivery.Machine
	ledger     *ledger.Ledger
	deliveries *delivery.Deliveries
	queues     *queue.Queues
	tables     *table.Tables
	parameters *parameter.Parameters
	faults     *inject.Faults
	handing    *handing
	drills     *drill.Drills
	rehearser  *rehearse.Rehearser
	governor   *heal.Governor
	mappings   *mapping.Mappings
	mapped     *dispatch.Mappings
	streamed   *dispatch.Streams
	once       *once.Records
	guard      *dispatch.Guard
	dispatcher *dispatch.Dispatcher
	notifier   *notify.Notifier
	scribe     *scribe.Scribe

	front   *wire.Front
	web     *web.Door
	console *console.Door

	app     app               // what was deployed last
	sources *fsnotify.Watcher // of its files; nil: they are not watched
}

// listeners are the sockets of the three doors.
type listeners struct{ aws, web, console net.Listener }

func (l listeners) close() {
	for _, one := range []net.Listener{l.aws, l.web, l.console} {
		if one != nil {
			one.Close()
		}
	}
}

// ports returns the ports the platform itself listens on.
func (l listeners) ports() []uint16 {
	var ports []uint16
	for _, one := range []net.Listener{l.aws, l.web, l.console} {
		ports = append(ports, uint16(one.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

// Open makes a node and deploys its app. Everything that is wrong with the
// configuration or the template is told before anything is changed. Nothing
// is answered until Run.
func Open(ctx context.Context, cfg Config) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Data, err = DataFor(cfg); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, clock: daruma.NewScaledClock(cfg.TimeScale), ready: make(chan struct{}), stop: make(chan struct{}), ending: make(chan struct{})}
	n.clock.Hold() // what it takes to come up is real: until Run nothing grows old faster
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	loaded, err := n.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.openListeners(ctx); err != nil {
		return nil, err
	}
	n.point(loaded)
	if err := n.checkRecord(loaded); err != nil {
		return nil, err
	}
	n.app.set(loaded, nil)
	n.openSources()
	if err := n.openExport(loaded.Name); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context, catalog.Place) error{
		n.openState, n.openHeal, n.openPlaces, n.openDoors,
	} {
		if err := step(ctx, loaded.Place); err != nil {
			return nil, err
		}
	}
	if loaded.Keeps { // what is kept is known by now
		if loaded, err = n.read(ctx); err != nil {
			return nil, err
		}
		n.point(loaded)
	}
	if err := n.deploy(ctx, loaded); err != nil {
		return nil, err
	}
	return n, n.collect()
}

func (n *Node) openListeners(ctx context.Context) (err error) {
	l := &n.listeners
	for _, one := range []struct {
		at         *net.Listener
		name, addr string
	}{{&l.aws, "aws-addr", n.cfg.AWSAddr}, {&l.web, "web-addr", n.cfg.WebAddr}, {&l.console, "console-addr", n.cfg.ConsoleAddr}} {
		if *one.at, err = listen(ctx, one.name, one.addr); err != nil {
			if a, runs := Find("", n.cfg.Data); runs == nil { // its own ports are the likeliest
				return &daruma.Error{Op: "start the node", Ref: n.cfg.Data, Kind: daruma.KindLocked, Err: fmt.Errorf("it is running already, as process %d", a.PID), Hint: "daruma ps shows it, daruma down stops it"}
			}
			return err
		}
	}
	return nil
}

// openState opens what outlives the process: keys, the cell, the log.
func (n *Node) openState(ctx context.Context, place catalog.Place) error {
	data := n.cfg.Data
	if err := os.MkdirAll(data, 0o700); err != nil {
		return &daruma.Error{Op: "open state", Ref: data, Err: err}
	}
	if err := os.Chmod(data, 0o700); err != nil {
		return &daruma.Error{Op: "open state", Ref: data, Err: err}
	}
	if err := unseen(data); err != nil {
		return &daruma.Error{Op: "open state", Ref: data, Err: err}
	}
	var err error
	if err := n.topicMachine(place); err != nil {
		return err
	}
	n.alarmMachine(place)
	n.machine = delivery.NewMachine(delivery.Config{ARN: place.FunctionARN, Sinks: map[string]delivery.Sink{queueKind: toQueue, topic.Kind: delivery.PutTo(n.topical.Name())}})
	queued, tabled := queue.NewMachine(), table.NewMachine()
	mapped := mapping.NewMachine()
	n.cell, err = cell.Open(ctx, cell.Config{
		Journal:  disk.Place{Dir: filepath.Join(data, "cell"), Logger: n.cfg.Log},
		Machines: []cell.Machine{catalog.Machine{}, ledger.Machine{}, n.machine, queued, tabled, n.topical, hold.Machine{}, mapped, shard.Machine{}, once.Machine{}, parameter.NewMachine(), drill.Machine{}, n.alarmed},
		Clock:    n.clock,
		GoOnFrom: n.clock.GoOnFrom,
		Logger:   n.cfg.Log,
	})
	if err != nil {
		return err
	}
	if err := n.sweep(); err != nil {
		return err
	}
	if n.catalog, err = catalog.Open(ctx, n.cell, place); err != nil {
		return err
	}
	n.mappings = mapping.Open(n.cell, mapped)
	n.parameters = parameter.New(n.cell)
	if n.queues, err = queue.Open(ctx, n.cell, queued, n.clock); err != nil {
		return err
	}
	n.tables = table.New(n.cell, tabled, n.clock)
	operator, err := ensureOperatorKey(data)
	if err != nil {
		return err
	}
	n.keys = newKeyring(place.Account, operator)
	if err := n.openWatch(); err != nil {
		return err
	}
	var token [24]byte
	rand.Read(token[:])
	n.address = Address{
		AWS: "http://" + n.listeners.aws.Addr().String(), Web: "http://" + n.listeners.web.Addr().String(), Console: "http://" + n.listeners.console.Addr().String(),
		Data: data, PID: os.Getpid(), Region: place.Region, Template: n.cfg.Template, Started: time.Now(), Token: hex.EncodeToString(token[:]),
		TimeScale: n.clock.Scale(), AheadS: n.clock.Ahead().Seconds(),
	}
	return nil
}

// unseen keeps state, with the keys in it, out of repositories and packages
// that are made of the app's directory: git, npm and others heed this file.
func unseen(data string) error {
	f, err := os.OpenFile(filepath.Join(data, ".gitignore"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}

// openPlaces opens where functions run and their way out.
func (n *Node) openPlaces(ctx context.Context, place catalog.Place) error {
	var err error
	if n.front, err = wire.New(wire.Config{Credentials: n.keys, Region: place.Region, Grace: drainMax, Log: n.cfg.Log,
		Around: func(service string, h wire.Handler) wire.Handler { return &troubled{h, service, n} }}); err != nil {
		return err
	}
	if err := n.openTrust(); err != nil {
		return err
	}
	policy := egress.Policy(egress.AllowAll)
	if n.cfg.Egress == "deny" {
		policy = egress.DenyAll
	}
	n.policy = policy
	n.egress, err = egress.New(egress.Config{Cloud: http.HandlerFunc(n.cloud), Authority: n.trust, Session: n.session, Tap: n.tap, Policy: n.faulty(policy), Own: n.listeners.ports, Log: n.watch.Logged})
	if err != nil {
		return err
	}
	if n.maker, err = openMaker(n.cfg); err != nil {
		return err
	}
	n.tellRecording()
	n.runtimes = openRuntimes(n.cfg)
	if err := n.openHealing(ctx); err != nil {
		return err
	}
	if err := n.openFaults(); err != nil {
		return err
	}
	n.pool = run.New(n.poolConfig())
	n.openEvents()
	n.openNotify()
	return nil
}

// openRuntimes makes what knows how functions are started.
func openRuntimes(cfg Config) *runtimes.Runtimes {
	return runtimes.New(runtimes.Config{
		Cache: cfg.cacheDir(cfg.Data), Path: cfg.variable("PATH", "/usr/local/bin:/usr/bin:/bin"), Home: cfg.variable("HOME", ""),
		Progress: cfg.Progress,
		Warn:     func(function, text string) { cfg.Progress(function + ": " + text) },
	})
}

// cloud answers what functions send to the cloud's names: APIs and function
// URLs by the names they have on AWS, and the services.
func (n *Node) cloud(w http.ResponseWriter, r *http.Request) {
	if web.IsAddress(r.Host) {
		n.web.ServeHTTP(w, r)
		return
	}
	n.front.ServeHTTP(w, r)
}

// openDoors makes the ways in.
func (n *Node) openDoors(ctx context.Context, place catalog.Place) error {
	door, err := lambda.New(lambda.Config{Runner: recorder{n.runner(), n}, View: n.catalog.View, Concurrency: n.catalog, Settings: settings{n.catalog, n}, Mappings: n.mappings, EventSource: n.eventSource, LastResult: n.mappings.Result, Tags: tags{n}, Acceptor: acceptor{n.deliveries}, Takes: n.takes, URL: n.urlAddress, Spanned: n.spanned})
	if err != nil {
		return err
	}
	n.front.Register("lambda", door.Service())
	if err := n.openQueueDoor(place); err != nil {
		return err
	}
	if err := n.openTableDoor(place); err != nil {
		return err
	}
	if err := n.openTopicDoor(place); err != nil {
		return err
	}
	if err := n.openParameterDoor(place); err != nil {
		return err
	}
	if err := n.openAlarmDoor(ctx, place); err != nil {
		return err
	}
	if err := n.openDrillDoor(ctx, place); err != nil {
		return err
	}
	n.web = web.New(web.Config{Runner: recorder{n.runner(), n}, View: n.catalog.View, Log: n.cfg.Log, Verify: n.verify, Spanned: n.spanned, Around: n.shown, Limits: web.Limits{DrainTime: drainMax}})
	n.console = console.New(console.Config{
		Token: n.address.Token, Status: n.Status, Health: n.health, Metrics: n.watch.Metrics(), Stop: n.Stop, Logs: n.consoleLogs,
		Spans: n.watch, Ledger: n.ledger, Deliveries: n.deliveries, Queues: n.queues, QueueHeld: n.queueHeld, Topics: console.Topics{List: n.topicRows, Publish: n.publish, Redrive: n.topics.Redrive}, Tables: n.tableRows, NotifyTest: n.testNotify, Reproduce: n.serveReproduce, Bundle: n.serveBundle, Now: n.clock.Now,
		Faults: n.faults, StopExperiment: func() error { return conduct.Stop(n.address.Data) }, Experiments: n.cfg.Experiments,
		Alarms:   console.Alarms{All: n.alarms.All, History: n.alarms.History},
		Mappings: console.Mappings{All: n.mappingRows, Enable: n.enableMapping},
		Breakers: console.Breakers{Statuses: func() any { return n.governor.Statuses() }, Force: breakers{n}.Force},
	})
	return nil
}

// Address says how the node is reached.
func (n *Node) Address() Address { return n.address }

// Ready is closed when every door is open.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Stop makes Run end; it returns at once and may be called more than once.
func (n *Node) Stop() { n.stopped.Do(func() { close(n.stop) }) }

// close gives up what Open has opened, last first.
func (n *Node) close() error {
	var errs []error
	n.listeners.close()
	if n.sources != nil {
		errs = append(errs, n.sources.Close())
	}
	if n.pool != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeMax)
		defer cancel()
		errs = append(errs, n.pool.Close(ctx))
	}
	if n.maker != nil {
		errs = append(errs, n.maker.Close())
	}
	if n.cell != nil {
		errs = append(errs, n.cell.Close())
	}
	return errors.Join(errs...)
}
