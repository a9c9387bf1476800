package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
)

// A platform is the process that is demonstrated. It is started again on the
// addresses it had.
type platform struct {
	cfg  Config
	bank *bank
	host string // where functions reach the bank

	mu        sync.Mutex // guards what follows
	address   node.Address
	orders    string // where orders are taken
	isolation string

	cmd   *exec.Cmd
	ended chan error // holds what came of the process when it has ended
}

// start starts the process and waits until it is ready.
func (p *platform) start(ctx context.Context) error {
	if p.host == "" {
		p.host = "host.daruma.internal"
	}
	if err := p.launch(ctx); err != nil {
		return err
	}
	s, err := p.status(ctx)
	if err != nil {
		return errors.Join(err, p.stop())
	}
	if own := s.Isolation == "namespaces"; !own && p.host != "127.0.0.1" { // plain processes share this machine's network
		p.host = "127.0.0.1"
		if err := p.stop(); err != nil {
			return err
		}
		return p.start(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isolation = s.Isolation
	for _, e := range s.Endpoints {
		p.orders = strings.TrimSuffix(e.URL, "/") + "/orders"
	}
	return nil
}

func (p *platform) ordersURL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.orders
}

// launch starts the process and reads the line it prints when it is ready.
func (p *platform) launch(ctx context.Context) error {
	data := filepath.Join(p.cfg.Dir, node.DataDir)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(data, "node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	at := func(base string) string {
		if u, err := url.Parse(base); err == nil && u.Host != "" {
			return u.Host
		}
		return "127.0.0.1:0"
	}
	p.cmd = p.cfg.Command("up", p.cfg.Dir, "--json", "--no-watch", "--stack-name=orders", "--time-scale="+strconv.Itoa(p.cfg.TimeScale),
		"--param=Bank=http://"+p.host+":"+strconv.Itoa(p.bank.port), "--allow-notify-to=127.0.0.1:"+strconv.Itoa(p.bank.port),
		"--aws-addr="+at(p.address.AWS), "--web-addr="+at(p.address.Web), "--console-addr="+at(p.address.Console))
	p.cmd.Env = append(p.cmd.Env, ownerVariable+"=http://127.0.0.1:"+strconv.Itoa(p.bank.port)+"/told")
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.cmd.SysProcAttr = bound()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	late := context.AfterFunc(ready, func() { _ = p.cmd.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if !late() && err == nil {
		err = ready.Err()
	}
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.cmd.Wait() }()
	if err != nil {
		ended := <-p.ended
		text, _ := os.ReadFile(log.Name()) // without it the error is shorter
		return errors.Join(fmt.Errorf("the platform did not come up:\n%s", lastLines(string(text), 12)), ended)
	}
	var is node.Ready
	if err := json.Unmarshal(line, &is); err != nil {
		return errors.Join(err, p.stop())
	}
	a, err := node.Find("", is.Data)
	if err != nil {
		return errors.Join(err, p.stop())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = a
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// kill ends the process with SIGKILL, and returns when it is gone.
func (p *platform) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	if err := <-p.ended; err == nil {
		return errors.New("the platform had ended by itself before it was killed")
	}
	return nil
}

// stop ends the process as it should end.
func (p *platform) stop() error {
	if p.ended == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(30 * time.Second):
		return p.kill()
	}
}

// ask asks the console for a value.
func (p *platform) ask(ctx context.Context, path string, v any) error {
	body, err := p.cfg.Ask(ctx, p.address, path)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(v)
}

func (p *platform) status(ctx context.Context) (s console.Status, err error) {
	return s, p.ask(ctx, "/api/ps", &s)
}

// failures returns what the ledger has.
func (p *platform) failures(ctx context.Context) (all []*ledger.Failure, err error) {
	q := url.Values{"max": {strconv.Itoa(ledger.PageMax)}}
	for {
		var page ledger.Page
		if err := p.ask(ctx, "/api/failures?"+q.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Failures...)
		if page.Next == 0 {
			return all, nil
		}
		q.Set("before", page.Next.String())
	}
}
