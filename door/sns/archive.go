package sns

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/topic"
)

const (
	day = 24 * time.Hour
	// beginningSlack is by how much a replay may begin before its archive does:
	// the beginning moves on while somebody who has read it asks for a replay.
	beginningSlack = time.Minute
)

// archivePolicy reads for how long a topic keeps what is published (developer
// guide, "Message archiving for FIFO topic owners"). {} ends the archive.
func archivePolicy(t *topic.Topic, text string) (time.Duration, *wire.Error) {
	var is struct{ MessageRetentionPeriod json.RawMessage }
	if err := strictly("ArchivePolicy", text, &is); err != nil {
		return 0, err
	}
	if is.MessageRetentionPeriod == nil {
		return 0, nil
	}
	if !t.FIFO {
		return 0, invalidParameter("ArchivePolicy: only FIFO topics keep an archive")
	}
	days, err := strconv.Atoi(strings.Trim(string(is.MessageRetentionPeriod), `"`))
	if keep := time.Duration(days) * day; err == nil && days <= int(topic.KeepMax/day) && keep >= topic.KeepMin {
		return keep, nil
	}
	return 0, invalidParameter("ArchivePolicy: MessageRetentionPeriod: Invalid value " + string(is.MessageRetentionPeriod) + ". Must be a number of days from 1 to 365.")
}

// showArchive adds the attributes of a topic's archive.
func (d *Door) showArchive(t *topic.Topic, all map[string]string) {
	if t.Keep == 0 {
		return
	}
	begins, _ := d.cfg.Topics.Archive(t)
	all["ArchivePolicy"] = fmt.Sprintf(`{"MessageRetentionPeriod":"%d"}`, t.Keep/day)
	all["BeginningArchiveTime"] = begins.Format(timeFormat)
}

// replayPolicy reads what a subscription wants again ("Message replay for FIFO
// topic subscribers"). {} and nothing at all take the replay away.
func replayPolicy(t *topic.Topic, text string) (*topic.Replay, *wire.Error) {
	var is struct{ PointType, StartingPoint, EndingPoint string }
	if text == "" {
		return nil, nil
	}
	if err := strictly("ReplayPolicy", text, &is); err != nil {
		return nil, err
	}
	if is.PointType == "" && is.StartingPoint == "" && is.EndingPoint == "" {
		return nil, nil
	}
	switch {
	case !t.FIFO:
		return nil, invalidParameter("ReplayPolicy: only subscriptions to FIFO topics replay messages")
	case t.Keep == 0:
		return nil, invalidParameter("ReplayPolicy: the topic has no ArchivePolicy")
	case is.PointType != "Timestamp":
		return nil, invalidParameter("ReplayPolicy: PointType: Invalid value [" + is.PointType + "]. Must be Timestamp.")
	}
	r := &topic.Replay{ID: daruma.NewID(), Text: text}
	var err *wire.Error
	if r.From, err = point("StartingPoint", is.StartingPoint); err != nil {
		return nil, err
	}
	if is.EndingPoint != "" {
		if r.Until, err = point("EndingPoint", is.EndingPoint); err != nil {
			return nil, err
		}
		if r.Until.Before(r.From) {
			return nil, invalidParameter("ReplayPolicy: EndingPoint: it is before the StartingPoint")
		}
	}
	return r, nil
}

// point reads a point in time. Messages have theirs in milliseconds.
func point(name, text string) (time.Time, *wire.Error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, invalidParameter("ReplayPolicy: " + name + ": Invalid value [" + text + "]. Must be a time like 2006-01-02T15:04:05.000Z.")
	}
	return at.UTC().Truncate(time.Millisecond), nil
}

// replayable says what is wrong with the times of a replay that is asked for
// now. What a template asks for begins with the archive at the earliest.
func (d *Door) replayable(t *topic.Topic, r *topic.Replay) *wire.Error {
	begins, now := d.cfg.Topics.Archive(t)
	switch {
	case r == nil:
	case r.From.Before(begins.Add(-beginningSlack)):
		return invalidParameter("ReplayPolicy: StartingPoint: it is before the BeginningArchiveTime, " + begins.Format(timeFormat))
	case r.From.After(now):
		return invalidParameter("ReplayPolicy: StartingPoint: it is in the future")
	case r.Until.After(now):
		return invalidParameter("ReplayPolicy: EndingPoint: it is in the future")
	}
	return nil
}

// showReplay adds the attributes of a subscription's replay.
func (d *Door) showReplay(s *topic.Subscription, all map[string]string) {
	if s.Replay != nil {
		all["ReplayPolicy"] = s.Replay.Text
		all["ReplayStatus"] = string(d.cfg.Topics.ReplayState(s.Topic, s.ID))
	}
}
