package run

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
)

// growth decides when another environment is started. With a CPU to spare
// that is at once, unless one that has answered is about to be free. When all
// are busy, a call waits for an environment that becomes free, because one more
// process would only slow the others down: for QueueBriefly, and longer where
// those in front of it are soon done (see patience). From then on as many are
// started in each further QueueBriefly as there are CPUs.
type growth struct {
	busy   int // environments that are starting or run something
	grants int // environments that may be started in this window
	spare  bool
	window time.Time // when it began
	since  time.Time // calls have waited without a break from then on; zero: none waits
	armed  bool      // the timer is set
	cpu    cpuTimes
	second int64 // of the last trace that was sampled
}

// perSpareCPU is how many environments one window starts for each CPU, when some CPU is idle.
const perSpareCPU = 4

// patienceMax bounds how long a call waits for an environment that becomes
// free while every CPU is busy.
const patienceMax = 250 * time.Millisecond

// startPatience bounds how long a call waits for environments of its function
// that are starting while every CPU is busy.
const startPatience = 2 * time.Second

// patience is how long calls of g wait while every CPU is busy. Where those
// in front will be done within patienceMax at the pace of the last runs, one
// more process would come too late and slow them down; behind runs of seconds
// it is QueueBriefly. p.mu is held.
func (p *Pool) patience(g *group) time.Duration {
	if g.mean*time.Duration(len(g.queue)) < patienceMax*time.Duration(g.size) {
		return max(p.cfg.QueueBriefly, patienceMax)
	}
	return p.cfg.QueueBriefly
}

// perBusyCPU is how many environments of one function share a CPU while it is busy.
const perBusyCPU = 2

// brief says whether a call of g is soonest served by environments that run
// others now: enough of them do, or are about to, to keep every CPU busy, and
// they will be through with the queue before QueueBriefly is over. One more at once would
// have them all wait for the CPUs, for caches that are cold, and for the
// kernel. p.mu is held.
func (p *Pool) brief(g *group) bool {
	taken := g.size - len(g.warm)
	return g.mean > 0 && taken >= perBusyCPU*cores() && g.mean*time.Duration(len(g.queue)) < p.cfg.QueueBriefly*time.Duration(taken)
}

// crowded says whether a call of g is better queued than given to a warm
// environment. p.mu is held.
func (p *Pool) crowded(g *group, now time.Time) bool {
	return p.brief(g) && !p.growth.cpu.spare(now)
}

// ran adds one run's time to the moving average. p.mu is held.
func (g *group) ran(d time.Duration) {
	if g.mean == 0 {
		g.mean = d
	}
	g.mean += (d - g.mean) / 8
}

// grow starts environments for calls that wait, and sees to it that it is
// called again while some do. p.mu is held.
func (p *Pool) grow(now time.Time) {
	waiting := false
	if p.growth.since.IsZero() {
		p.growth.since = now
	}
	for _, g := range p.groups {
		for len(g.queue) > 0 {
			c := g.queue[0]
			if len(g.warm) > 0 && now.Sub(c.queued) >= p.cfg.QueueBriefly {
				if e := p.take(g, c.function); e != nil {
					g.queue = slices.Delete(g.queue, 0, 1)
					p.wait.Go(func() { e.begin(c) })
					continue
				}
			}
			room := p.room()
			if room && p.may(g, now) {
				g.queue = slices.Delete(g.queue, 0, 1)
				p.start(g, c)
				continue
			}
			if !room && now.Sub(c.queued) >= capacityWait {
				g.queue = slices.Delete(g.queue, 0, 1)
				p.finished(c)
				p.turnAway(c, noCapacity(daruma.KindNoCapacity, "all "+strconv.Itoa(p.cfg.EnvironmentsMax)+" environments are busy"))
				continue
			}
			waiting = true
			break
		}
	}
	if !waiting {
		p.growth.since = time.Time{}
	}
	if waiting && !p.growth.armed {
		p.growth.armed = true
		time.AfterFunc(p.cfg.QueueBriefly, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.growth.armed = false
			p.grow(time.Now())
		})
	}
}

// may says whether an environment may be started for the oldest call of g
// now. p.mu is held.
func (p *Pool) may(g *group, now time.Time) bool {
	w, patient := &p.growth, now.Sub(g.queue[0].queued) >= p.patience(g)
	if !patient && len(g.queue) <= int(g.finishing.Load()) {
		return false // one that has answered asks for the next event any moment
	}
	if w.busy < cores() {
		return true
	}
	if now.Sub(w.window) >= p.cfg.QueueBriefly {
		w.window, w.spare = now, w.cpu.spare(now)
		w.grants = cores()
		if w.spare {
			w.grants *= perSpareCPU
		}
	}
	if p.brief(g) && !patient && (!w.spare || w.cpu.from.Before(w.since)) {
		return false // that a CPU was idle before they came says nothing
	}
	if w.grants == 0 || !w.spare && !patient {
		return false
	}
	if !w.spare && g.starting >= cores() && now.Sub(g.queue[0].queued) < startPatience {
		return false // those that are starting have the CPUs, and will take this call when they are up
	}
	w.grants--
	return true
}

// room says whether one more environment fits, and makes room by retiring the
// one that was idle for longest. p.mu is held.
func (p *Pool) room() bool {
	if p.closed && p.killed.Err() != nil {
		return false
	}
	if len(p.all) < p.cfg.EnvironmentsMax {
		return true
	}
	var oldest *Environment
	for e, s := range p.all {
		if !s.busy && s.retiring == "" && (oldest == nil || s.since.Before(p.all[oldest].since)) {
			oldest = e
		}
	}
	if oldest != nil {
		p.retire(oldest, p.all[oldest], "capacity")
	}
	return false // there is room once it is gone
}

// start starts an environment for c. p.mu is held.
func (p *Pool) start(g *group, c *call) {
	e := newEnvironment(p, g, c.function)
	p.all[e] = &slot{group: g, busy: true, starting: true}
	g.size++
	g.starting++
	p.growth.busy++
	e.calls <- c
	p.wait.Go(e.live)
}

// up is told that an environment's processes are there.
func (p *Pool) up(e *Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[e].isUp()
	p.grow(time.Now())
}

// isUp ends the time in which s counts as starting. The pool's mu is held.
func (s *slot) isUp() {
	if s.starting {
		s.starting = false
		s.group.starting--
	}
}

// tend sees to it that idle environments are frozen, and closed when their
// time has come. p.mu is held.
func (p *Pool) tend() {
	if p.tending {
		return
	}
	p.tending = true
	wait := p.cfg.IdleTimeout / 8
	if p.cfg.FreezeAfter > 0 {
		wait = min(wait, p.cfg.FreezeAfter)
	}
	p.cfg.Clock.AfterFunc(max(wait, time.Millisecond), p.tendNow)
}

// tendNow looks at every idle environment once.
func (p *Pool) tendNow() {
	var freeze []*Environment
	p.mu.Lock()
	p.tending = false
	now, idle := p.cfg.Clock.Now(), false
	for e, s := range p.all {
		if s.busy || s.retiring != "" {
			continue
		}
		idle = true
		switch since := now.Sub(s.since); {
		case since >= p.cfg.IdleTimeout:
			p.retire(e, s, "idle")
		case p.cfg.FreezeAfter > 0 && since >= p.cfg.FreezeAfter:
			freeze = append(freeze, e)
		}
	}
	if idle {
		p.tend()
	}
	p.mu.Unlock()
	for _, e := range freeze {
		e.freeze()
	}
}

// freeze freezes an idle environment's processes.
func (e *Environment) freeze() {
	if e.session.Load() == nil {
		return
	}
	if err := e.frost.freeze(); err != nil {
		e.logs.Remark("freeze: " + err.Error())
	}
}

// sample decides whether a trace without a decision is sampled: one a second,
// and one of twenty after that (X-Ray's default rule). p.mu is not held.
func (p *Pool) sample() bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if second := now.Unix(); second != p.growth.second {
		p.growth.second = second
		return true
	}
	return now.Nanosecond()/1000%20 == 0
}

// cpuTimes are what the machine's CPUs had done at the last look.
type cpuTimes struct {
	idle, total int64
	from, at    time.Time // what was says is of this time
	was         bool      // what spare said
}

// cpuLook is the shortest time over which idleness is judged: the kernel
// counts it in hundredths of a second.
const cpuLook = 100 * time.Millisecond

// spare says whether a quarter of one CPU or more was idle since the last
// look. Where the kernel does not tell (no /proc) it says yes.
func (t *cpuTimes) spare(at time.Time) bool {
	if at.Sub(t.at) < cpuLook {
		return t.was
	}
	now := cpuTimes{from: t.at, at: at}
	now.was = now.look(t)
	*t = now
	return now.was
}

// look counts what the CPUs have done, and judges what they did since before.
func (t *cpuTimes) look(before *cpuTimes) bool {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return true
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	for i, field := range bytes.Fields(line) {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			continue // "cpu"
		}
		if i <= 8 { // guest time is part of user time
			t.total += n
		}
		if i == 4 || i == 5 { // idle and waiting for disks
			t.idle += n
		}
	}
	idle, total := t.idle-before.idle, t.total-before.total
	return total <= 0 || float64(idle)/float64(total)*float64(cores()) >= 0.25
}
