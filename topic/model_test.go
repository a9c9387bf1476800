package topic_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/topic"
)

// A model is a topic as one would write it without a store: what each queue
// has, and what waits to be posted to whom.
type model struct {
	queues  map[string][]string // by subscription
	waiting map[string][]string
	pending map[string]string // tokens
	posted  map[string]int    // by message and subscription
	failed  int
	dropped int
	filter  map[string]bool // subscriptions that want only what begins with "a"
	name    map[string]string
}

func TestATopicIsWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { checkModel(t, rt) })
}

// checkModel takes random steps, with the process ending now and then, in the
// store and in the model, and compares.
func checkModel(t *testing.T, rt *rapid.T) {
	w := &world{TB: t, now: &hand{}, place: memory.Medium{}}
	w.open()
	defer func() { w.cell.Close() }()
	ctx := context.Background()
	w.topic(topic.Topic{Name: "t"})
	m := &model{queues: map[string][]string{}, waiting: map[string][]string{}, pending: map[string]string{}, posted: map[string]int{}, filter: map[string]bool{}, name: map[string]string{}}
	n := 0
	ids := func() (all []string) {
		for _, s := range w.topics.Subscriptions("t") {
			all = append(all, s.ID)
		}
		return all
	}
	rt.Repeat(map[string]func(*rapid.T){
		"subscribe": func(rt *rapid.T) {
			n++
			name := fmt.Sprint("e", n)
			s := toQueue("t", name)
			post := rapid.Bool().Draw(rt, "post")
			if post {
				s = toPost("t", "http://"+name+"/")
				s.Retry = &topic.Retry{Retries: 1}
				if rapid.Bool().Draw(rt, "pending") {
					s.Pending, s.Token = true, name
				}
			}
			s.Raw = true
			if rapid.Bool().Draw(rt, "filter") {
				s.Filter = `{"k":[{"prefix":"a"}]}`
			}
			is := w.subscribe(s)
			m.filter[is.ID], m.name[is.ID] = s.Filter != "", name
			switch {
			case s.Pending:
				m.pending[is.ID] = s.Token
				m.waiting[is.ID] = []string{"confirm " + s.Token}
			case post:
				m.waiting[is.ID] = []string{}
			default:
				m.queues[is.ID] = []string{}
			}
		},
		"publish": func(rt *rapid.T) {
			n++
			k := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "k")
			msg := text(fmt.Sprint(n))
			msg.Attributes = []topic.Attribute{{Name: "k", Type: "String", Value: []byte(k)}}
			w.publish("t", msg)
			for id := range m.name {
				if m.pending[id] != "" || m.filter[id] && k != "a" {
					continue
				}
				if _, queue := m.queues[id]; queue {
					m.queues[id] = append(m.queues[id], fmt.Sprint(n))
				} else {
					m.waiting[id] = append(m.waiting[id], "post "+fmt.Sprint(n))
				}
			}
		},
		"post": func(rt *rapid.T) {
			due := w.due()
			if len(due) == 0 {
				rt.Skip()
			}
			p := due[rapid.IntRange(0, len(due)-1).Draw(rt, "which")]
			v := rapid.SampledFrom([]topic.Verdict{topic.Delivered, topic.Again, topic.Never}).Draw(rt, "verdict")
			w.settle(p, v)
			body, key := string(p.Body), p.Subscription+string(p.Body)
			at := slices.Index(m.waiting[p.Subscription], body)
			if at < 0 {
				rt.Fatalf("posted %q to %s, which does not wait", body, p.Subscription)
			}
			m.posted[key]++
			if v == topic.Again && m.posted[key] == 1 {
				return // once more
			}
			m.waiting[p.Subscription] = slices.Delete(m.waiting[p.Subscription], at, at+1)
			switch {
			case v == topic.Delivered:
			case body[0] == 'c':
			default:
				m.failed++
			}
		},
		"confirm": func(rt *rapid.T) {
			for id, token := range m.pending {
				if _, err := w.topics.Confirm(ctx, "t", token, false); err != nil {
					rt.Fatal(err)
				}
				delete(m.pending, id)
				break
			}
		},
		"end": func(rt *rapid.T) {
			all := ids()
			if len(all) == 0 {
				rt.Skip()
			}
			id := rapid.SampledFrom(all).Draw(rt, "id")
			if err := w.topics.End(ctx, "t", id); err != nil {
				rt.Fatal(err)
			}
			m.dropped += messages(m.waiting[id])
			delete(m.waiting, id)
			delete(m.pending, id)
			delete(m.queues, id)
			delete(m.name, id)
		},
		"restart": func(*rapid.T) {
			w.cell.Close()
			w.open()
		},
		"": func(rt *rapid.T) {
			a := w.account("t")
			waiting := 0
			for id, want := range m.waiting {
				waiting += messages(want)
				if got := w.topics.Waiting(id); got != int64(len(want)) {
					rt.Fatalf("%d wait for %s, want %d", got, id, len(want))
				}
			}
			if !a.Closes() || a.Waiting != int64(waiting) || a.Failed != int64(m.failed) || a.Dropped != int64(m.dropped) {
				rt.Fatalf("got account %+v, want %d waiting, %d failed, %d dropped", a, waiting, m.failed, m.dropped)
			}
			if got := len(ids()); got != len(m.name) {
				rt.Fatalf("%d subscriptions, want %d", got, len(m.name))
			}
			for id, want := range m.queues {
				if got := w.bodies(m.name[id]); !slices.Equal(got, want) {
					rt.Fatalf("the queue of %s has %q, want %q", id, got, want)
				}
			}
		},
	})
}

// messages is how many posts are messages; the others ask for a confirmation.
func messages(posts []string) (n int) {
	for _, p := range posts {
		if p[0] == 'p' {
			n++
		}
	}
	return n
}

func FuzzCommands(f *testing.F) {
	cmd, err := topic.PublishCommand("t", topic.Message{ID: daruma.NewID(), At: time.Unix(1, 0), Body: []byte("x")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("publish", cmd.Body)
	f.Add("put", []byte(`{"to":{"kind":"topic","name":"t"},"body":"eA=="}`))
	f.Add("subscribe", []byte(`{"id":"1","topic":"t","protocol":"q","endpoint":{"kind":"queue","name":"a","arn":"arn"}}`))
	f.Add("deploy", []byte(`{"topics":[{"name":"u","logicalId":"U"}],"subscriptions":[]}`))
	f.Add("change", []byte(`{"name":"f","fifo":true,"keepNs":86400000000000,"revision":1}`))
	f.Add("adjust", []byte(`{"id":"1","topic":"f","protocol":"q","endpoint":{"kind":"queue","name":"a","arn":"arn"},"replay":{"id":"1","from":"2024-04-01T00:00:00Z"},"revision":1}`))
	f.Add("replay", []byte(`{"topic":"f","id":"1"}`))
	w := newWorld(f)
	w.topic(topic.Topic{Name: "t"})
	w.subscribe(toQueue("t", "a"))
	w.archived("f", 1)
	late := toQueue("f", "a")
	late.ID, late.Replay = "1", &topic.Replay{ID: "0", From: time.Unix(1, 0)}
	w.subscribe(late)
	w.publish("f", in("g", "1"), in("g", "2"))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		_, _ = w.cell.Do(t.Context(), command(name, body))
		if h := w.cell.Health(); h.Panics > 0 {
			t.Fatalf("%s %q panicked", name, body)
		}
	})
}

// BenchmarkPublish is one publisher of 1 KiB messages with several subscriptions, synced in memory only.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 10} {
		for _, raw := range []bool{true, false} {
			b.Run(fmt.Sprintf("subscriptions=%d/raw=%v", n, raw), func(b *testing.B) {
				w := newWorld(b)
				w.topic(topic.Topic{Name: "t"})
				for i := range n {
					s := toQueue("t", fmt.Sprint("q", i))
					s.Raw = raw
					s.DeadLetter = "" // as most have
					w.subscribe(s)
				}
				body := make([]byte, 1024)
				for i := range body {
					body[i] = 'x'
				}
				b.ReportAllocs()
				for b.Loop() {
					w.publish("t", topic.Message{Body: body})
				}
			})
		}
	}
}
