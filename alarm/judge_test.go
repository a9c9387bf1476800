package alarm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/alarm"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// points reads "0 - X": data that is well, none, and data that is beyond the threshold of 5.
func points(text string) (all []alarm.Point) {
	for i, word := range strings.Fields(text) {
		p := alarm.Point{At: noon.Add(time.Duration(i) * time.Minute)}
		switch word {
		case "0":
			p.Value, p.Samples = 1, 1
		case "X":
			p.Value, p.Samples = 9, 1
		}
		all = append(all, p)
	}
	return all
}

// of is an alarm of so many of so many periods.
func of(most, periods int) alarm.Definition {
	return alarm.Definition{Name: "a", Metric: alarm.Metric{Namespace: "N", Name: "M"}, Statistic: "Sum", Period: time.Minute, Periods: periods, ToAlarm: most, Threshold: 5, Comparison: "GreaterThanThreshold"}
}

// TestAlarmsAreJudgedAsDocumented is the two tables of the CloudWatch User Guide
// ("Configuring how CloudWatch alarms treat missing data"), of its edition of now
// and of that of 2020, with what its text says beside them.
func TestAlarmsAreJudgedAsDocumented(t *testing.T) {
	const stays = "stays"
	if d := of(3, 3); d.Range() != 5 {
		t.Errorf("of 3 periods %d are looked at, want 5", d.Range())
	}
	for _, c := range []struct {
		most, periods                            int
		points                                   string
		missing, ignore, breaching, notBreaching string
	}{
		{3, 3, "0 - X - X", "OK", "OK", "OK", "OK"},
		{3, 3, "0 - - - -", "OK", "OK", "OK", "OK"},
		{3, 3, "- - - - 0", "OK", "OK", "OK", "OK"},
		{3, 3, "- - - - -", "INSUFFICIENT_DATA", stays, "ALARM", "OK"},
		{3, 3, "0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{3, 3, "- - X - -", "ALARM", stays, "ALARM", "OK"},
		{3, 3, "X - - - -", "ALARM", stays, "ALARM", "OK"},
		{3, 3, "- - - - X", "INSUFFICIENT_DATA", stays, "ALARM", "OK"},
		{3, 3, "- - - X -", "INSUFFICIENT_DATA", stays, "ALARM", "OK"},
		{3, 3, "X X X X X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{3, 3, "X X X X 0", "OK", "OK", "OK", "OK"},
		{2, 3, "0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{2, 3, "0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{2, 3, "0 - X - -", "OK", "OK", "ALARM", "OK"},
		{2, 3, "- - - - 0", "OK", "OK", "ALARM", "OK"},
		{2, 3, "- - - X -", "ALARM", stays, "ALARM", "OK"},
		{2, 3, "- - - - X", "INSUFFICIENT_DATA", stays, "ALARM", "OK"},
		{2, 3, "X X 0 0 X", "OK", "OK", "OK", "OK"}, // two of three, and not of five
		{1, 1, "- - X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{1, 1, "X - 0", "OK", "OK", "OK", "OK"},
		{1, 1, "X - -", "ALARM", "ALARM", "ALARM", "ALARM"}, // the last data there is stands for what is missing
		{1, 1, "- - -", "INSUFFICIENT_DATA", stays, "ALARM", "OK"},
	} {
		for treat, want := range map[string]string{"": c.missing, alarm.AsMissing: c.missing, alarm.AsBefore: c.ignore, alarm.AsBreaching: c.breaching, alarm.AsNotBreaching: c.notBreaching} {
			d := of(c.most, c.periods)
			d.Missing = treat
			if err := d.Validate(); err != nil {
				t.Fatal(err)
			}
			for _, now := range []alarm.State{alarm.OK, alarm.Alarmed, alarm.Insufficient} {
				got := d.Judge(points(c.points), noon, now)
				is := want
				if want == stays {
					is = string(now)
				}
				if string(got.State) != is || (got.Reason == "") != (want == stays) {
					t.Errorf("%d of %d, %s, %q, from %s: got %+v, want %s", c.most, c.periods, c.points, treat, now, got, want)
				}
			}
		}
	}
}

func TestEachComparisonIsWhatItIsCalled(t *testing.T) {
	for comparison, want := range map[string][3]alarm.State{ // below, at, above the threshold
		"GreaterThanThreshold": {alarm.OK, alarm.OK, alarm.Alarmed}, "GreaterThanOrEqualToThreshold": {alarm.OK, alarm.Alarmed, alarm.Alarmed},
		"LessThanThreshold": {alarm.Alarmed, alarm.OK, alarm.OK}, "LessThanOrEqualToThreshold": {alarm.Alarmed, alarm.Alarmed, alarm.OK},
	} {
		for i, value := range []float64{4, 5, 6} {
			d := of(0, 1)
			d.Comparison = comparison
			if got := d.Judge([]alarm.Point{{At: noon, Value: value, Samples: 1}}, noon, alarm.Insufficient); got.State != want[i] {
				t.Errorf("%s: %v is %s, want %s", comparison, value, got.State, want[i])
			}
		}
	}
	if d := of(0, 1); len(alarm.Comparisons()) != 4 {
		t.Error(d)
	}
}

func TestAPercentileOfTooFewValuesIsNotJudgedWhereThatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		percentile string
		samples    float64
		few        string
		want       alarm.State
	}{
		{"p99", 999, "ignore", alarm.OK}, {"p99", 1000, "ignore", alarm.Alarmed}, {"p99", 5, "evaluate", alarm.Alarmed}, {"p99", 5, "", alarm.Alarmed},
		{"p10", 99, "ignore", alarm.OK}, {"p10", 100, "ignore", alarm.Alarmed}, {"p50", 19, "ignore", alarm.OK}, {"p50", 20, "ignore", alarm.Alarmed},
	} {
		d := of(0, 1)
		d.Statistic, d.Percentile, d.FewSamples = "", c.percentile, c.few
		if got := d.Judge([]alarm.Point{{At: noon, Value: 9, Samples: c.samples}}, noon, alarm.OK); got.State != c.want {
			t.Errorf("%+v: got %+v", c, got)
		}
	}
}

func TestReasonsAreInTheServicesWords(t *testing.T) {
	for _, c := range []struct {
		d      alarm.Definition
		treat  string
		points string
		now    alarm.State
		want   string
	}{
		{of(1, 1), "", "- - X", alarm.OK, "Threshold Crossed: 1 out of the last 1 datapoints [9.0 (29/11/26 12:02:00)] was greater than the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition)."},
		{of(0, 2), "", "- - X X", alarm.OK, "Threshold Crossed: 2 datapoints [9.0 (29/11/26 12:03:00), 9.0 (29/11/26 12:02:00)] were greater than the threshold (5.0)."},
		{of(2, 3), "", "- - X X 0", alarm.Insufficient, "Threshold Crossed: 2 out of the last 3 datapoints [9.0 (29/11/26 12:03:00), 9.0 (29/11/26 12:02:00)] were greater than the threshold (5.0) (minimum 2 datapoints for INSUFFICIENT_DATA -> ALARM transition)."},
		{of(2, 3), "", "- - 0 0 X", alarm.Alarmed, "Threshold Crossed: 2 out of the last 3 datapoints [1.0 (29/11/26 12:03:00), 1.0 (29/11/26 12:02:00)] were not greater than the threshold (5.0) (minimum 2 datapoints for ALARM -> OK transition)."},
		{of(1, 1), "", "- - -", alarm.OK, "Insufficient Data: 1 datapoint was unknown."},
		{of(3, 3), alarm.AsBreaching, "- - - - -", alarm.OK, "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [Breaching]."},
		{of(1, 1), alarm.AsNotBreaching, "- - -", alarm.Alarmed, "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching]."},
		{of(3, 3), alarm.AsNotBreaching, "- - - - 0", alarm.Alarmed, "Threshold Crossed: 1 out of the last 3 datapoints [1.0 (29/11/26 12:04:00)] was not greater than the threshold (5.0) and 2 missing datapoints were treated as [NonBreaching] (minimum 1 datapoint for ALARM -> OK transition)."},
	} {
		c.d.Missing = c.treat
		if got := c.d.Judge(points(c.points), noon.Add(5*time.Minute), c.now); got.Reason != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.points, got.Reason, c.want)
		}
	}
	d := of(2, 2)
	got := d.Judge(points("- - X X"), noon.Add(4*time.Minute), alarm.OK)
	var data map[string]any
	if err := json.Unmarshal([]byte(got.Data), &data); err != nil || data["startDate"] != "2026-11-29T12:02:00.000+0000" || data["queryDate"] != "2026-11-29T12:04:00.000+0000" || data["period"] != 60.0 || len(data["evaluatedDatapoints"].([]any)) != 2 {
		t.Errorf("got %s, %v", got.Data, err)
	}
}

func TestAReasonOfManyPeriodsStaysWithinItsBounds(t *testing.T) {
	d := of(0, 1440)
	got := d.Judge(points(strings.Repeat("X ", 1442)), noon, alarm.OK)
	if got.State != alarm.Alarmed || len(got.Reason) > alarm.ReasonBytesMax || got.Data == "" || len(got.Data) > alarm.DataBytesMax {
		t.Errorf("got %d and %d characters: %+v", len(got.Reason), len(got.Data), got)
	}
}
