package cloudwatch

import (
	"maps"
	"slices"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/door/wire"
)

// namesMax bounds the alarms that one request names.
const namesMax = 100

// named is the input of what names alarms.
type named struct{ AlarmNames []string }

// delete answers DeleteAlarms: all, or none when one is missing.
func (d *Door) delete(c *call, in *named) (any, *wire.Error) {
	if len(in.AlarmNames) == 0 {
		return nil, absent("AlarmNames")
	}
	if len(in.AlarmNames) > namesMax {
		return nil, validation("alarmNames", "...", "have length less than or equal to 100")
	}
	if err := d.cfg.Alarms.Delete(c.ctx, in.AlarmNames...); err != nil {
		return nil, failed(err)
	}
	return nil, nil
}

// set answers SetAlarmState.
func (d *Door) set(c *call, in *struct {
	AlarmName, StateValue, StateReason, StateReasonData string
}) (any, *wire.Error) {
	switch {
	case in.AlarmName == "":
		return nil, absent("AlarmName")
	case in.StateReason == "":
		return nil, absent("StateReason")
	case !slices.Contains([]string{"OK", "ALARM", "INSUFFICIENT_DATA"}, in.StateValue):
		return nil, validation("stateValue", in.StateValue, "satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]")
	}
	if err := d.cfg.Alarms.Set(c.ctx, in.AlarmName, alarm.State(in.StateValue), in.StateReason, in.StateReasonData); err != nil {
		return nil, failed(err)
	}
	return nil, nil
}

// enable answers EnableAlarmActions, and disable DisableAlarmActions.
func (d *Door) enable(c *call, in *named) (any, *wire.Error)  { return d.mute(c, in, false) }
func (d *Door) disable(c *call, in *named) (any, *wire.Error) { return d.mute(c, in, true) }

func (d *Door) mute(c *call, in *named, muted bool) (any, *wire.Error) {
	if len(in.AlarmNames) > namesMax {
		return nil, validation("alarmNames", "...", "have length less than or equal to 100")
	}
	if err := d.cfg.Alarms.Mute(c.ctx, muted, in.AlarmNames...); err != nil {
		return nil, failed(err)
	}
	return nil, nil
}

// tagged finds the alarm that an ARN names.
func (d *Door) tagged(of string) (string, *wire.Error) {
	name, ok := Name(d.cfg.Place, of)
	if !ok || d.cfg.Alarms.Alarm(name) == nil {
		return "", &wire.Error{Status: 404, Code: "ResourceNotFoundException", Query: "ResourceNotFoundException", Message: of + " does not exist here."}
	}
	return name, nil
}

// tag answers TagResource.
func (d *Door) tag(c *call, in *struct {
	ResourceARN string
	Tags        []tag
}) (any, *wire.Error) {
	name, refused := d.tagged(in.ResourceARN)
	if refused != nil {
		return nil, refused
	}
	tags, refused := tagsOf(in.Tags)
	if refused != nil {
		return nil, refused
	}
	if err := d.cfg.Alarms.Tag(c.ctx, name, tags, nil); err != nil {
		return nil, failed(err)
	}
	return struct{}{}, nil
}

// untag answers UntagResource.
func (d *Door) untag(c *call, in *struct {
	ResourceARN string
	TagKeys     []string
}) (any, *wire.Error) {
	name, refused := d.tagged(in.ResourceARN)
	if refused != nil {
		return nil, refused
	}
	if err := d.cfg.Alarms.Tag(c.ctx, name, nil, in.TagKeys); err != nil {
		return nil, failed(err)
	}
	return struct{}{}, nil
}

// listTags answers ListTagsForResource.
func (d *Door) listTags(_ *call, in *struct{ ResourceARN string }) (any, *wire.Error) {
	name, refused := d.tagged(in.ResourceARN)
	if refused != nil {
		return nil, refused
	}
	list := []tag{}
	if a := d.cfg.Alarms.Alarm(name); a != nil {
		for _, key := range slices.Sorted(maps.Keys(a.Tags)) {
			list = append(list, tag{key, a.Tags[key]})
		}
	}
	return struct{ Tags []tag }{list}, nil
}
