package drill

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Machine applies the commands of drills.
type Machine struct{}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) { return commands.Apply(tx, cmd) }

// commands is what drills can be asked for.
var commands = cell.Commands[*cell.Tx]{
	commandPut:     cell.Answering(put),
	commandDeploy:  cell.Answering(deploy),
	commandRemove:  cell.Answering(remove),
	commandTag:     cell.Answering(tag),
	commandBegin:   cell.Answering(begin),
	commandNote:    cell.Answering(note),
	commandAbandon: cell.Answering(abandon),
}

// newID returns an ID of letters and digits, in no order.
func newID(tx *cell.Tx) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 16)
	for i := range id {
		id[i] = letters[tx.Random().IntN(len(letters))]
	}
	return string(id)
}

func checked(document json.RawMessage, tags map[string]string, token string, texts ...string) error {
	longest := 0
	for _, t := range texts {
		longest = max(longest, len(t))
	}
	switch {
	case len(document) == 0 || string(document) == "null" || len(document) > documentBytesMax:
		return daruma.Invalidf("a document has 1 to %d bytes", documentBytesMax)
	case len(tags) > TagsMax:
		return daruma.Invalidf("%d tags: at most %d", len(tags), TagsMax)
	case len(token) > tokenBytesMax || longest > textBytesMax:
		return daruma.Invalidf("a token or a description has at most %d bytes", textBytesMax)
	}
	return nil
}

func put(tx *cell.Tx, p Plan) (any, error) {
	if err := checked(p.Document, p.Tags, p.Token, p.Description); err != nil {
		return nil, err
	}
	if p.ID != "" {
		old := plans().Get(tx, key(prefixPlan, p.ID))
		if old == nil {
			return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: p.ID, Err: ErrPlan}
		}
		p.Created, p.Tags, p.Token, p.Sum, p.Updated = old.Created, old.Tags, old.Token, old.Sum, tx.Now()
		p.LogicalID, p.Declared, p.Retain = old.LogicalID, old.Declared, old.Retain
		plans().Put(tx, key(prefixPlan, p.ID), &p)
		return &p, nil
	}
	if id, ok := tx.Get(key(prefixPlanToken, p.Token)); ok && p.Token != "" {
		if old := plans().Get(tx, key(prefixPlan, string(id))); old != nil && old.Sum == p.Sum {
			return old, nil
		}
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: p.Token, Err: ErrToken}
	}
	if err := room(tx); err != nil {
		return nil, err
	}
	p.ID, p.Created, p.Updated = newID(tx), tx.Now(), tx.Now()
	plans().Put(tx, key(prefixPlan, p.ID), &p)
	if p.Token != "" {
		tx.Set(key(prefixPlanToken, p.Token), []byte(p.ID))
	}
	return &p, nil
}

// room says whether one more plan may be.
func room(tx *cell.Tx) error {
	n := 0
	for range tx.Scan(cell.Prefix([]byte(prefixPlan))) {
		n++
	}
	if n >= PlansMax {
		return &daruma.Error{Kind: daruma.KindFull, Err: ErrPlans}
	}
	return nil
}

// deploy removes first, so that there is room for what takes its place.
func deploy(tx *cell.Tx, wishes []Wish) ([]string, error) {
	wanted := map[string]bool{}
	for _, w := range wishes {
		wanted[w.ID] = true
	}
	removed := []string{}
	for _, p := range plans().All(tx, cell.Prefix([]byte(prefixPlan))) {
		switch {
		case p.LogicalID == "" || wanted[p.ID]:
		case p.Retain:
			p.LogicalID, p.Declared, p.Retain = "", "", false
			plans().Put(tx, key(prefixPlan, p.ID), p)
		default:
			removed = append(removed, p.LogicalID)
			erase(tx, p)
		}
	}
	for _, w := range wishes {
		if err := declare(tx, w); err != nil {
			return nil, fmt.Errorf("%s: %w", w.LogicalID, err)
		}
	}
	return removed, nil
}

// declare puts a plan that a template declares, unless its declaration is as it was.
func declare(tx *cell.Tx, w Wish) error {
	if err := checked(w.Document, w.Tags, "", w.Description); err != nil {
		return err
	}
	text, _ := json.Marshal(w) // what came as JSON can be written
	sum := sha256.Sum256(text)
	declared := hex.EncodeToString(sum[:])
	p := plans().Get(tx, key(prefixPlan, w.ID))
	switch {
	case p == nil:
		if err := room(tx); err != nil {
			return err
		}
		p = &Plan{ID: w.ID, Created: tx.Now()}
	case p.Declared == declared:
		return nil
	}
	p.LogicalID, p.Declared, p.Retain = w.LogicalID, declared, w.Retain
	p.Description, p.Document, p.Tags, p.Updated = w.Description, w.Document, w.Tags, tx.Now()
	plans().Put(tx, key(prefixPlan, p.ID), p)
	return nil
}

func remove(tx *cell.Tx, id string) (any, error) {
	p := plans().Get(tx, key(prefixPlan, id))
	if p == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: id, Err: ErrPlan}
	}
	erase(tx, p)
	return p, nil
}

func erase(tx *cell.Tx, p *Plan) {
	tx.Delete(key(prefixPlan, p.ID))
	if p.Token != "" {
		tx.Delete(key(prefixPlanToken, p.Token))
	}
}

func tag(tx *cell.Tx, t tagging) (any, error) {
	change := func(old map[string]string) (map[string]string, error) {
		tags := daruma.Tagged(old, t.Set, t.Remove)
		if len(tags) > TagsMax {
			return nil, daruma.Invalidf("%d tags: at most %d", len(tags), TagsMax)
		}
		return tags, nil
	}
	var err error
	if t.Run != "" {
		r := runs().Get(tx, key(prefixRun, t.Run))
		if r == nil {
			return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: t.Run, Err: ErrRun}
		}
		if r.Tags, err = change(r.Tags); err == nil {
			runs().Put(tx, key(prefixRun, r.ID), r)
		}
		return nil, err
	}
	p := plans().Get(tx, key(prefixPlan, t.Plan))
	if p == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: t.Plan, Err: ErrPlan}
	}
	if p.Tags, err = change(p.Tags); err == nil {
		plans().Put(tx, key(prefixPlan, p.ID), p)
	}
	return nil, err
}

func begin(tx *cell.Tx, r Run) (any, error) {
	if err := checked(r.Document, r.Tags, r.Token); err != nil {
		return nil, err
	}
	if len(r.Steps) == 0 || len(r.Steps) > StagesMax || len(r.Targets) > documentBytesMax || len(r.Alarms) > AlarmsMax {
		return nil, daruma.Invalidf("a drill has 1 to %d stages, its targets %d bytes, and it up to %d alarms", StagesMax, documentBytesMax, AlarmsMax)
	}
	if id, ok := tx.Get(key(prefixRunToken, r.Token)); ok && r.Token != "" {
		if old := runs().Get(tx, key(prefixRun, string(id))); old != nil && old.Sum == r.Sum {
			return begun{old, true}, nil
		}
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: r.Token, Err: ErrToken}
	}
	active, n := 0, 0
	var oldest *Run // of those that have ended
	for _, one := range runs().All(tx, cell.Prefix([]byte(prefixRun))) {
		n++
		switch {
		case !one.State.Over():
			active++
		case oldest == nil || one.Created.Before(oldest.Created):
			oldest = one
		}
	}
	if active >= ActiveMax {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Err: ErrActive}
	}
	if n >= RunsMax && oldest != nil {
		tx.Delete(key(prefixRun, oldest.ID))
		if oldest.Token != "" {
			tx.Delete(key(prefixRunToken, oldest.Token))
		}
	}
	r.ID, r.Created, r.State, r.Reason = newID(tx), tx.Now(), Pending, "the drill was asked for"
	for i := range r.Steps {
		r.Steps[i] = Step{Name: r.Steps[i].Name, State: Pending}
	}
	runs().Put(tx, key(prefixRun, r.ID), &r)
	if r.Token != "" {
		tx.Set(key(prefixRunToken, r.Token), []byte(r.ID))
	}
	return begun{&r, false}, nil
}

func note(tx *cell.Tx, r Run) (any, error) {
	old := runs().Get(tx, key(prefixRun, r.ID))
	if old == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: r.ID, Err: ErrRun}
	}
	if old.State.Over() {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: r.ID, Err: ErrEnded}
	}
	old.State, old.Reason, old.Halted, old.Steps, old.Started, old.Ended = r.State, r.Reason, r.Halted, r.Steps, r.Started, r.Ended
	runs().Put(tx, key(prefixRun, r.ID), old)
	return nil, nil
}

func abandon(tx *cell.Tx, reason string) (any, error) {
	given := []string{}
	for _, r := range runs().All(tx, cell.Prefix([]byte(prefixRun))) {
		if r.State.Over() {
			continue
		}
		r.State, r.Reason, r.Ended = Failed, reason, tx.Now()
		for i := range r.Steps {
			switch s := &r.Steps[i]; s.State {
			case Pending:
				s.State, s.Reason = Cancelled, reason
			case Initiating, Running, Stopping:
				s.State, s.Reason, s.Ended = Failed, reason, tx.Now()
			}
		}
		runs().Put(tx, key(prefixRun, r.ID), r)
		given = append(given, r.ID)
	}
	return given, nil
}
