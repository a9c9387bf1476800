package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

func alarmsCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "alarms",
		Short: "Show alarms: their states, and why",
		Long: `An alarm watches one metric that the platform counts. It comes from the template
(AWS::CloudWatch::Alarm), or was made through the CloudWatch API, and is OK, in ALARM,
or knows too little to say (INSUFFICIENT_DATA).`,
		Example: `  daruma alarms
  daruma alarms show failing
  aws cloudwatch set-alarm-state --alarm-name failing --state-value ALARM --state-reason "a test"`,
		Args: cobra.NoArgs,
	}
	listing(c, list[alarm.Alarm]{
		path:   "/api/alarms",
		header: "ALARM\tSTATE\tSINCE\tWHEN\tREASON",
		cells: func(a alarm.Alarm) []any {
			return []any{a.Name, alarmState(&a), a.Came.Local().Format(time.DateTime), condition(&a), a.Situation.Reason}
		},
		none: "there is no alarm",
	}.verb(w, &cobra.Command{Use: "ls", Short: "List alarms", Args: cobra.NoArgs}))
	c.AddCommand(alarmsShowCommand(w))
	return c
}

// alarmState is an alarm's state, and whether its actions are taken.
func alarmState(a *alarm.Alarm) string {
	if a.Muted {
		return string(a.Situation.State) + ", muted"
	}
	return string(a.Situation.State)
}

// comparisons are those of alarms as signs.
var comparisons = map[string]string{"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": "≥", "LessThanThreshold": "<", "LessThanOrEqualToThreshold": "≤"}

// condition says in short when an alarm goes off: "Sum Errors of Charge > 0, 2 of 3 × 1m0s".
func condition(a *alarm.Alarm) string {
	of := []string{}
	for _, d := range a.Metric.Dimensions {
		of = append(of, d.Value)
	}
	most := a.ToAlarm
	if most == 0 {
		most = a.Periods
	}
	return fmt.Sprintf("%s %s of %s %s %g, %d of %d × %v", a.Statistic+a.Percentile, a.Metric.Name, strings.Join(of, ", "), comparisons[a.Comparison], a.Threshold, most, a.Periods, a.Period)
}

func alarmsShowCommand(w world) *cobra.Command {
	c := &cobra.Command{Use: "show ALARM", Short: "Show one alarm, by its name or logical ID, with its history", Args: cobra.ExactArgs(1)}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		at, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		var a console.Alarm
		if err := get(c.Context(), at, "/api/alarm?"+url.Values{"alarm": args}.Encode(), &a); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(w.out, a)
		}
		line := func(name string, value any) { fmt.Fprintf(w.out, "%-10s %v\n", name, value) }
		line("alarm", a.Name)
		if a.Description != "" {
			line("is", a.Description)
		}
		line("state", alarmState(a.Alarm))
		line("since", a.Came.Local().Format(time.DateTime))
		line("reason", a.Situation.Reason)
		line("when", condition(a.Alarm))
		for _, s := range []alarm.State{alarm.Alarmed, alarm.OK, alarm.Insufficient} {
			for _, action := range a.Actions(s) {
				line("action", string(s)+": "+action)
			}
		}
		for _, i := range a.History {
			line("happened", i.At.Local().Format(time.DateTime)+"  "+happened(&i))
		}
		noteClock(w.out, at)
		return nil
	}
	return c
}

// happened is a piece of history in words.
func happened(i *alarm.Item) string {
	switch {
	case i.Kind == alarm.Configured:
		return i.Did
	case i.Kind == alarm.Moved:
		return fmt.Sprintf("%s → %s: %s", i.From.State, i.To.State, i.To.Reason)
	case i.Failed != "":
		return "not told: " + i.Action + ": " + i.Failed
	}
	return "told " + i.Action
}
