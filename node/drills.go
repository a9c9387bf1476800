package node

import (
	"context"
	"slices"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/cloudwatch"
	"github.com/daruma-io/daruma/door/fis"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/rehearse"
	"github.com/daruma-io/daruma/template"
)

// openDrillDoor makes what carries drills out, and the way in to them. It comes
// behind all services that a drill may break.
func (n *Node) openDrillDoor(ctx context.Context, place catalog.Place) error {
	n.drills = drill.New(n.cell)
	var err error
	if n.rehearser, err = rehearse.Open(ctx, rehearse.Config{Drills: n.drills, Faults: n.faults, Alarms: n.alarms, Clock: n.clock, Logger: n.cfg.Log}); err != nil {
		return err
	}
	door, err := fis.New(fis.Config{Drills: n.drills, Place: place, View: n.catalog.View, Alarm: n.alarmNamed(place), Services: n.front.Serves, Conduct: n.rehearser})
	if err != nil {
		return err
	}
	n.front.Register("fis", door.Service())
	return nil
}

// alarmNamed finds out which alarm an ARN names; "" when there is none.
func (n *Node) alarmNamed(place catalog.Place) func(arn string) string {
	return func(arn string) string {
		if name, ok := cloudwatch.Name(place, arn); ok && n.alarms.Alarm(name) != nil {
			return name
		}
		return ""
	}
}

// Services are those that a node serves, as requests to them are signed for.
var Services = []string{"dynamodb", "fis", "lambda", "monitoring", "sns", "sqs", "ssm", "sts"}

// CheckExperimentTemplate is [template.Options].ExperimentTemplate: what a node makes
// of a template of experiments, whatever alarms there are.
func CheckExperimentTemplate(e *template.ExperimentTemplate) error {
	_, err := fis.Declared(e.ID, []byte(e.Request), Services, nil)
	return err
}

// declaredAlarm finds out which alarm an ARN names once everything that t declares
// is there; "" when there is none.
func (n *Node) declaredAlarm(t *template.App) func(arn string) string {
	return func(arn string) string {
		name, ok := cloudwatch.Name(t.Place, arn)
		if !ok {
			return ""
		}
		if slices.ContainsFunc(t.Alarms, func(a template.Alarm) bool { return a.Name == name }) {
			return name
		}
		if a := n.alarms.Alarm(name); a != nil && (a.LogicalID == "" || a.Retain) {
			return name
		}
		return ""
	}
}

// deployDrills makes the template's templates of experiments those there are,
// behind the alarms that stop them.
func (n *Node) deployDrills(ctx context.Context, wishes []drill.Wish) error {
	removed, err := n.drills.Deploy(ctx, wishes)
	if err != nil {
		return err
	}
	for _, id := range removed {
		n.cfg.Progress("the experiment template " + id + " is no longer in the template: it was removed")
	}
	return nil
}
