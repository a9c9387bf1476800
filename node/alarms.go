package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/cloudwatch"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/raise"
	"github.com/daruma-io/daruma/series"
	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/topic"
	"github.com/daruma-io/daruma/watch"
)

// alarming is the parts of a node that have to do with alarms.
type alarming struct {
	alarmed *alarm.Machine
	alarms  *alarm.Alarms
	raiser  *raise.Raiser
}

// alarmMachine makes the machine that holds alarms. What their actions hand over
// is in the same step as the change of state.
func (n *Node) alarmMachine(place catalog.Place) {
	w := cloudwatch.Writer{Place: place}
	n.alarmed = alarm.NewMachine(alarm.Config{Act: func(id string, a *alarm.Alarm, was alarm.Situation, action string) (cell.Command, error) {
		name, function, err := cloudwatch.Action(place, action)
		switch {
		case err != nil:
			return cell.Command{}, err
		case name != "":
			return topic.PublishCommand(name, topic.Message{ID: id, At: a.Situation.At.Truncate(time.Millisecond), Subject: w.Subject(a), Body: w.Message(a, was), Sender: "cloudwatch"})
		}
		return delivery.AcceptCommand(delivery.Event{Request: id, Target: function, Payload: w.Event(a, was, id), Source: "alarm", Client: a.Name})
	}})
}

// openAlarmDoor makes the way in to alarms, and what has them go off.
func (n *Node) openAlarmDoor(ctx context.Context, place catalog.Place) error {
	n.alarms = alarm.New(n.cell, n.alarmed)
	m := &measuring{node: n, series: series.New(), marks: map[string]uint64{}}
	if _, err := m.count(ctx); err != nil {
		return err
	}
	n.raiser = raise.New(raise.Config{Alarms: n.alarms, Metrics: m, Clock: n.clock, Logger: n.cfg.Log})
	door, err := cloudwatch.New(cloudwatch.Config{Alarms: n.alarms, Series: m.series, Place: place, Now: n.clock.Now})
	if err != nil {
		return err
	}
	n.front.Register("monitoring", door.Service())
	if err := n.watch.Register(watch.Gauge{Name: "daruma_series_dropped", Help: "Sums of what is counted that were not kept over time, because too much is counted.", Read: func() []watch.Sample {
		return []watch.Sample{{Value: float64(m.series.Dropped())}}
	}}); err != nil {
		return err
	}
	return n.watch.Register(watch.Gauge{Name: "daruma_alarm", Help: "1 while an alarm is in the state ALARM.", Labels: []string{"alarm"}, Read: func() []watch.Sample {
		var all []watch.Sample
		for _, a := range n.alarms.All() {
			s := watch.Sample{Labels: []string{a.Name}}
			if a.Situation.State == alarm.Alarmed {
				s.Value = 1
			}
			all = append(all, s)
		}
		return all
	}})
}

// CheckAlarm is [template.Options].Alarm: what a node makes of an alarm.
func CheckAlarm(p catalog.Place, a *template.Alarm) error {
	d := alarmOf(a)
	return cloudwatch.Check(p, &d)
}

// alarmOf is what a template says of an alarm.
func alarmOf(a *template.Alarm) alarm.Definition {
	d := alarm.Definition{Name: a.Name, Description: a.Description, Metric: alarm.Metric{Namespace: a.Namespace, Name: a.Metric}, Statistic: a.Statistic, Percentile: a.ExtendedStatistic, Unit: a.Unit,
		Period: time.Duration(a.PeriodS) * time.Second, Periods: a.Periods, ToAlarm: a.ToAlarm, Threshold: a.Threshold, Comparison: a.Comparison, Missing: a.Missing, FewSamples: a.FewSamples, Muted: a.Muted,
		OnAlarm: a.OnAlarm, OnOK: a.OnOK, OnInsufficient: a.OnInsufficient}
	for _, name := range slices.Sorted(maps.Keys(a.Dimensions)) {
		d.Metric.Dimensions = append(d.Metric.Dimensions, alarm.Dimension{Name: name, Value: a.Dimensions[name]})
	}
	return d
}

// deployAlarms makes the template's alarms those there are, behind all that they watch and tell.
func (n *Node) deployAlarms(ctx context.Context, t *template.App) error {
	wishes := make([]alarm.Wish, 0, len(t.Alarms))
	for i := range t.Alarms {
		is := &t.Alarms[i]
		if err := CheckAlarm(t.Place, is); err != nil {
			return &daruma.Error{Op: "deploy " + is.LogicalID, Kind: daruma.KindInvalid, Ref: is.Position, Err: err}
		}
		wishes = append(wishes, alarm.Wish{Definition: alarmOf(is), Tags: is.Tags, LogicalID: is.LogicalID, Retain: is.Retain})
	}
	removed, err := n.alarms.Deploy(ctx, wishes)
	if err != nil {
		return err
	}
	for _, name := range removed {
		n.cfg.Progress("the alarm " + name + " is no longer in the template: it was removed")
	}
	return nil
}

// measuring keeps what the platform counts, over time. It is used by one
// goroutine, but for the series.
type measuring struct {
	node   *Node
	series *series.Series
	marks  map[string]uint64 // of the last change of each machine that was read
	last   counts
}

// counts are the accounts there are, by name.
type counts struct {
	events map[string]delivery.Account
	queues map[string]queueCounts
	topics map[string]topic.Account
}

// A queueCounts is what is counted of a queue, and when its oldest message was sent.
type queueCounts struct {
	queue.Account
	oldest time.Time
}

// count reads the accounts that have changed, and returns those before. What
// cannot be read is as it was.
func (m *measuring) count(ctx context.Context) (was counts, err error) {
	was = m.last
	n := m.node
	return was, errors.Join(
		m.changed(ctx, n.machine.Name(), func() error {
			_, all, err := n.deliveries.Accounts(ctx)
			if err == nil {
				m.last.events = byName(all, func(a delivery.Account) string { return a.Function })
			}
			return err
		}),
		m.changed(ctx, n.topical.Name(), func() error {
			all, err := n.topics.Accounts(ctx)
			if err == nil {
				m.last.topics = byName(all, func(a topic.Account) string { return a.Topic })
			}
			return err
		}),
		m.changed(ctx, queueMachine, func() error {
			all, err := n.queues.Accounts(ctx)
			if err != nil {
				return err
			}
			queues := map[string]queueCounts{}
			for _, a := range all {
				one := queueCounts{Account: a}
				if a.Messages() > 0 {
					if one.oldest, err = n.queues.Oldest(ctx, a.Queue); err != nil && daruma.KindOf(err) != daruma.KindNotFound { // it was removed meanwhile
						return err
					}
				}
				queues[a.Queue] = one
			}
			m.last.queues = queues
			return nil
		}),
	)
}

// changed has a machine's accounts read when they are not those that were read last.
func (m *measuring) changed(ctx context.Context, machine string, read func() error) error {
	mark, err := m.node.cell.Changed(ctx, machine, 0)
	if err != nil || mark == m.marks[machine] {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	m.marks[machine] = mark
	return nil
}

func byName[T any](all []T, name func(T) string) map[string]T {
	of := map[string]T{}
	for _, one := range all {
		of[name(one)] = one
	}
	return of
}

// Measure keeps what was counted from one time to another.
func (m *measuring) Measure(ctx context.Context, from, to time.Time) {
	m.keep()
	add := func(of, name, measure string, s series.Sum) {
		m.series.Add(to, series.Key{Of: of, Name: name, Measure: measure}, s)
	}
	for function, l := range m.node.watch.Take() {
		runs := float64(l.Runs)
		add(cloudwatch.Functions, function, "Invocations", series.Many(1, runs))
		add(cloudwatch.Functions, function, "Errors", series.Share(float64(l.Failures), runs))
		add(cloudwatch.Functions, function, "Throttles", series.Share(float64(l.Throttles), runs+float64(l.Throttles)))
		add(cloudwatch.Functions, function, "Duration", l.Durations)
		if l.Peak > 0 {
			add(cloudwatch.Functions, function, "ConcurrentExecutions", series.Of(float64(l.Peak)))
		}
	}
	was, err := m.count(ctx)
	if err != nil {
		if ctx.Err() == nil {
			m.node.cfg.Log.Warn("what is counted of queues, topics and events could not be read", "error", err)
		}
		return
	}
	grown := func(of, name, measure string, now, before int64) {
		add(of, name, measure, series.Many(1, float64(max(0, now-before))))
	}
	for name, a := range m.last.events {
		b := was.events[name]
		grown(cloudwatch.Functions, name, "AsyncEventsReceived", a.Accepted, b.Accepted)
		grown(cloudwatch.Functions, name, "AsyncEventsDropped", a.Failed, b.Failed)
		grown(cloudwatch.Functions, name, "DeadLetterErrors", a.DeadLetterErrors, b.DeadLetterErrors)
		grown(cloudwatch.Functions, name, "DestinationDeliveryFailures", a.DestinationErrors, b.DestinationErrors)
	}
	for name, a := range m.last.topics {
		b := was.topics[name]
		grown(cloudwatch.Topics, name, "NumberOfMessagesPublished", a.Published, b.Published)
		grown(cloudwatch.Topics, name, "NumberOfNotificationsDelivered", a.Delivered, b.Delivered)
		grown(cloudwatch.Topics, name, "NumberOfNotificationsFailed", a.Failed, b.Failed)
		grown(cloudwatch.Topics, name, "NumberOfNotificationsFilteredOut", a.Filtered, b.Filtered)
	}
	for end := from.Add(series.Step); !end.After(to); end = end.Add(series.Step) {
		m.measureQueues(end, end.Equal(to), was)
	}
	if from.Truncate(time.Minute) != to.Truncate(time.Minute) {
		m.series.Forget(to)
	}
}

// measureQueues keeps a value of each queue for one step, if only zero. What came
// since the last step that was measured came in the last.
func (m *measuring) measureQueues(end time.Time, last bool, was counts) {
	for name, a := range m.last.queues {
		b, age := was.queues[name], 0.0
		if !a.oldest.IsZero() {
			age = max(0, end.Sub(a.oldest).Seconds())
		}
		came := func(now, before int64) float64 {
			if !last {
				return 0
			}
			return float64(max(0, now-before))
		}
		for measure, v := range map[string]float64{
			"ApproximateNumberOfMessagesVisible": float64(a.Visible), "ApproximateNumberOfMessagesNotVisible": float64(a.InFlight), "ApproximateNumberOfMessagesDelayed": float64(a.Delayed), "ApproximateAgeOfOldestMessage": age,
			"NumberOfMessagesSent": came(a.Sent-a.Letters, b.Sent-b.Letters), "NumberOfMessagesReceived": came(a.Received, b.Received), "NumberOfMessagesDeleted": came(a.Deleted, b.Deleted),
		} {
			m.series.Add(end, series.Key{Of: cloudwatch.Queues, Name: name, Measure: measure}, series.Of(v))
		}
	}
}

// keep has what alarms watch be kept for as long as they look back.
func (m *measuring) keep() {
	keys := map[series.Key]bool{}
	for _, a := range m.node.alarms.All() {
		if k, err := cloudwatch.Key(a.Metric); err == nil {
			keys[k] = true
		}
	}
	m.series.Keep(keys)
}

// Points are what an alarm's metric was in each period of its range.
func (m *measuring) Points(a *alarm.Alarm, end time.Time) []alarm.Point {
	points := make([]alarm.Point, a.Range())
	key, err := cloudwatch.Key(a.Metric)
	if err != nil {
		return points // it was made by another version, and has no data
	}
	for i, sum := range m.series.Periods(key, end, a.Period, len(points)) {
		v, _ := sum.Statistic(a.Statistic + a.Percentile) // one of them is ""
		points[i] = alarm.Point{At: end.Add(time.Duration(i-len(points)) * a.Period), Value: v, Samples: sum.Count}
	}
	return points
}
