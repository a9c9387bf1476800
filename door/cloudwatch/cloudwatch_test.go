package cloudwatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/door/cloudwatch"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/door/wire/wiretest"
	"github.com/daruma-io/daruma/series"
)

// keys is the tests' one credential.
type keys struct{}

func (keys) Credential(accessKey string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDA", Account: "000000000000"}}, accessKey == "AKID"
}

var (
	place = catalog.Place{Region: "us-east-1", Account: "000000000000"}
	noon  = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
)

// A world is a door on a real listener, what is behind it, and a client of it.
type world struct {
	*testing.T
	*sdk.Client
	alarms *alarm.Alarms
	series *series.Series
	url    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	machine := alarm.NewMachine(alarm.Config{Act: func(string, *alarm.Alarm, alarm.Situation, string) (cell.Command, error) {
		return cell.Command{}, errors.New("nobody is told in this test")
	}})
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{machine}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w := &world{T: t, alarms: alarm.New(c, machine), series: series.New()}
	door, err := cloudwatch.New(cloudwatch.Config{Alarms: w.alarms, Series: w.series, Place: place, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("monitoring", door.Service())
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.Client = sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
	})})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

const topic = "arn:aws:sns:us-east-1:000000000000:ops"

// errorsOf is an alarm of a function's errors.
func errorsOf(name, function string) *sdk.PutMetricAlarmInput {
	return &sdk.PutMetricAlarmInput{AlarmName: &name, Namespace: aws.String("AWS/Lambda"), MetricName: aws.String("Errors"), Dimensions: []types.Dimension{{Name: aws.String("FunctionName"), Value: &function}},
		Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(3), DatapointsToAlarm: aws.Int32(2), Threshold: aws.Float64(0.5), ComparisonOperator: types.ComparisonOperatorGreaterThanOrEqualToThreshold}
}

func (w *world) put(in *sdk.PutMetricAlarmInput) {
	w.Helper()
	if _, err := w.PutMetricAlarm(w.Context(), in); err != nil {
		w.Fatal(err)
	}
}

func names(alarms []types.MetricAlarm) (all []string) {
	for _, a := range alarms {
		all = append(all, *a.AlarmName)
	}
	return all
}

func TestTheGoSDKMakesAnAlarmAndFindsItAsItWasMade(t *testing.T) {
	w := newWorld(t)
	in := errorsOf("a", "F")
	in.AlarmDescription, in.AlarmActions, in.OKActions, in.TreatMissingData, in.Unit = aws.String("it fails"), []string{topic}, []string{"arn:aws:lambda:us-east-1:000000000000:function:Heal:live"}, aws.String("notBreaching"), types.StandardUnitCount
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("pay")}}
	w.put(in)
	w.put(errorsOf("ab", "G"))
	w.put(errorsOf("b", "F"))
	out, err := w.DescribeAlarms(t.Context(), &sdk.DescribeAlarmsInput{AlarmNames: []string{"a"}})
	w.must(err)
	a := out.MetricAlarms[0]
	if *a.AlarmArn != "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a" || a.StateValue != types.StateValueInsufficientData || *a.StateReason != alarm.Created || a.StateUpdatedTimestamp.IsZero() || !*a.ActionsEnabled ||
		*a.Threshold != 0.5 || *a.Period != 60 || *a.EvaluationPeriods != 3 || *a.DatapointsToAlarm != 2 || a.Statistic != types.StatisticSum || *a.Dimensions[0].Value != "F" || a.AlarmActions[0] != topic || len(a.OKActions) != 1 || *a.TreatMissingData != "notBreaching" || *a.AlarmDescription != "it fails" || a.Unit != "Count" {
		t.Errorf("got %+v", a)
	}
	for want, in := range map[string]*sdk.DescribeAlarmsInput{
		"a ab": {AlarmNamePrefix: aws.String("a")}, "a": {ActionPrefix: aws.String("arn:aws:sns")}, "a ab b": {StateValue: types.StateValueInsufficientData}, "": {StateValue: types.StateValueOk},
		"ab b": {NextToken: aws.String("a")}, "b": {AlarmNames: []string{"b", "c"}, AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm}},
	} {
		out, err := w.DescribeAlarms(t.Context(), in)
		w.must(err)
		if got := strings.Join(names(out.MetricAlarms), " "); got != want {
			t.Errorf("%+v: got %q, want %q", in, got, want)
		}
	}
	var all []string
	pages := sdk.NewDescribeAlarmsPaginator(w.Client, &sdk.DescribeAlarmsInput{MaxRecords: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		w.must(err)
		all = append(all, names(page.MetricAlarms)...)
	}
	if diff := cmp.Diff([]string{"a", "ab", "b"}, all); diff != "" {
		t.Error(diff)
	}
	of, err := w.DescribeAlarmsForMetric(t.Context(), &sdk.DescribeAlarmsForMetricInput{Namespace: in.Namespace, MetricName: in.MetricName, Dimensions: in.Dimensions})
	w.must(err)
	if diff := cmp.Diff([]string{"a", "b"}, names(of.MetricAlarms)); diff != "" {
		t.Error(diff)
	}
	_, err = w.TagResource(t.Context(), &sdk.TagResourceInput{ResourceARN: a.AlarmArn, Tags: []types.Tag{{Key: aws.String("x"), Value: aws.String("y")}}})
	w.must(err)
	_, err = w.UntagResource(t.Context(), &sdk.UntagResourceInput{ResourceARN: a.AlarmArn, TagKeys: []string{"team"}})
	w.must(err)
	tags, err := w.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceARN: a.AlarmArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "x" {
		t.Errorf("got %+v, %v", tags, err)
	}
	_, err = w.DeleteAlarms(t.Context(), &sdk.DeleteAlarmsInput{AlarmNames: []string{"a", "ab"}})
	w.must(err)
	if len(w.alarms.All()) != 1 {
		t.Errorf("there are %v", w.alarms.All())
	}
}

func TestAStateIsSetByHandAndItsHistoryTold(t *testing.T) {
	w := newWorld(t)
	in := errorsOf("a", "F")
	in.AlarmActions = []string{topic}
	w.put(in)
	set := func(s types.StateValue) {
		_, err := w.SetAlarmState(t.Context(), &sdk.SetAlarmStateInput{AlarmName: aws.String("a"), StateValue: s, StateReason: aws.String("a test"), StateReasonData: aws.String(`{"by":"hand"}`)})
		w.must(err)
	}
	set(types.StateValueAlarm)
	_, err := w.DisableAlarmActions(t.Context(), &sdk.DisableAlarmActionsInput{AlarmNames: []string{"a"}})
	w.must(err)
	set(types.StateValueOk)
	set(types.StateValueAlarm)
	_, err = w.EnableAlarmActions(t.Context(), &sdk.EnableAlarmActionsInput{AlarmNames: []string{"a"}})
	w.must(err)
	var said []string
	pages := sdk.NewDescribeAlarmHistoryPaginator(w.Client, &sdk.DescribeAlarmHistoryInput{AlarmName: aws.String("a"), MaxRecords: aws.Int32(3), ScanBy: types.ScanByTimestampAscending})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		w.must(err)
		for _, i := range page.AlarmHistoryItems {
			said = append(said, string(i.HistoryItemType)+": "+*i.HistorySummary)
			if !json.Valid([]byte(*i.HistoryData)) || i.Timestamp.IsZero() {
				t.Errorf("got %+v", i)
			}
		}
	}
	want := []string{`ConfigurationUpdate: Alarm "a" created`, "StateUpdate: Alarm updated from INSUFFICIENT_DATA to ALARM", "Action: Failed to execute action " + topic + `. Received error: "nobody is told in this test"`,
		`ConfigurationUpdate: Alarm "a" updated`, "StateUpdate: Alarm updated from ALARM to OK", "StateUpdate: Alarm updated from OK to ALARM", `ConfigurationUpdate: Alarm "a" updated`}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	states, err := w.DescribeAlarmHistory(t.Context(), &sdk.DescribeAlarmHistoryInput{HistoryItemType: types.HistoryItemTypeStateUpdate})
	if err != nil || len(states.AlarmHistoryItems) != 3 || !strings.Contains(*states.AlarmHistoryItems[0].HistoryData, `"stateReasonData":{"by":"hand"}`) {
		t.Errorf("got %+v, %v", states, err)
	}
}

func TestWhatIsCountedIsReadAndListed(t *testing.T) {
	w := newWorld(t)
	for i := range 30 { // five minutes, of which the first three are not silent
		if end := noon.Add(time.Duration(i-29) * series.Step); i < 18 {
			w.series.Add(end, series.Key{Of: "function", Name: "F", Measure: "Errors"}, series.Share(1, 2))
			w.series.Add(end, series.Key{Of: "function", Name: "F", Measure: "Duration"}, series.Of(float64(i+1)))
		}
	}
	w.series.Add(noon, series.Key{Of: "queue", Name: "q", Measure: "NumberOfMessagesSent"}, series.Of(3))
	dims := []types.Dimension{{Name: aws.String("FunctionName"), Value: aws.String("F")}}
	from, to := aws.Time(noon.Add(-5*time.Minute)), aws.Time(noon)
	stats, err := w.GetMetricStatistics(t.Context(), &sdk.GetMetricStatisticsInput{Namespace: aws.String("AWS/Lambda"), MetricName: aws.String("Errors"), Dimensions: dims, StartTime: from, EndTime: to, Period: aws.Int32(60),
		Statistics: []types.Statistic{types.StatisticSum, types.StatisticAverage, types.StatisticSampleCount}, ExtendedStatistics: []string{"p50"}})
	w.must(err)
	if len(stats.Datapoints) != 3 || *stats.Label != "Errors" || stats.Datapoints[0].Unit != types.StandardUnitCount || !stats.Datapoints[0].Timestamp.Equal(*from) || *stats.Datapoints[1].Sum != 6 || *stats.Datapoints[1].Average != 0.5 || *stats.Datapoints[1].SampleCount != 12 || stats.Datapoints[1].Maximum != nil || stats.Datapoints[1].ExtendedStatistics["p50"] != 0 {
		t.Errorf("got %+v", stats.Datapoints)
	}
	data, err := w.GetMetricData(t.Context(), &sdk.GetMetricDataInput{StartTime: from, EndTime: to, ScanBy: types.ScanByTimestampAscending, MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("m"),
		MetricStat: &types.MetricStat{Metric: &types.Metric{Namespace: aws.String("AWS/Lambda"), MetricName: aws.String("Duration"), Dimensions: dims}, Period: aws.Int32(300), Stat: aws.String("Maximum")}}}})
	w.must(err)
	if r := data.MetricDataResults; len(r) != 1 || *r[0].Id != "m" || r[0].StatusCode != types.StatusCodeComplete || !slices.Equal(r[0].Values, []float64{18}) || !r[0].Timestamps[0].Equal(noon.Add(-5*time.Minute)) {
		t.Errorf("got %+v", r)
	}
	list := func(in *sdk.ListMetricsInput) (all []string) {
		out, err := w.ListMetrics(t.Context(), in)
		w.must(err)
		for _, m := range out.Metrics {
			all = append(all, fmt.Sprint(*m.Namespace, " ", *m.MetricName, " ", *m.Dimensions[0].Name, "=", *m.Dimensions[0].Value))
		}
		return all
	}
	if diff := cmp.Diff([]string{"AWS/Lambda Duration FunctionName=F", "AWS/Lambda Errors FunctionName=F", "AWS/SQS NumberOfMessagesSent QueueName=q"}, list(&sdk.ListMetricsInput{})); diff != "" {
		t.Error(diff)
	}
	if got := list(&sdk.ListMetricsInput{Namespace: aws.String("AWS/SQS"), Dimensions: []types.DimensionFilter{{Name: aws.String("QueueName")}}}); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// refused checks the code and a part of the text of an error.
func refused(t *testing.T, what string, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("%s: got %v, want %s: %s", what, err, code, text)
	}
}

func TestWhatMeansNothingHereIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	const value, together = "InvalidParameterValue", "InvalidParameterCombination"
	for what, c := range map[string]struct {
		change     func(in *sdk.PutMetricAlarmInput)
		code, text string
	}{
		"a namespace": {func(in *sdk.PutMetricAlarmInput) { in.Namespace = aws.String("AWS/EC2") }, value, "Nothing of the namespace AWS/EC2 is counted here. Counted here are: AWS/Lambda by FunctionName: AsyncEventsDropped"},
		"a metric":    {func(in *sdk.PutMetricAlarmInput) { in.MetricName = aws.String("IteratorAge") }, value, "The metric IteratorAge of AWS/Lambda is not counted here"},
		"dimensions":  {func(in *sdk.PutMetricAlarmInput) { in.Dimensions = nil }, value, "counted by FunctionName"},
		"a version": {func(in *sdk.PutMetricAlarmInput) {
			in.Dimensions = append(in.Dimensions, types.Dimension{Name: aws.String("Resource"), Value: aws.String("F:live")})
		}, value, "and by nothing else"},
		"math": {func(in *sdk.PutMetricAlarmInput) {
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("e"), Expression: aws.String("m1/m2")}}
		}, value, "no math is done"},
		"a band": {func(in *sdk.PutMetricAlarmInput) { in.ThresholdMetricId = aws.String("ad1") }, value, "Anomaly detection is not supported here"},
		"a band's end": {func(in *sdk.PutMetricAlarmInput) {
			in.ComparisonOperator = types.ComparisonOperatorGreaterThanUpperThreshold
		}, value, "Anomaly detection"},
		"no number":    {func(in *sdk.PutMetricAlarmInput) { in.Threshold = aws.Float64(math.NaN()) }, value, "a threshold is a finite number"},
		"no end":       {func(in *sdk.PutMetricAlarmInput) { in.Threshold = aws.Float64(math.Inf(1)) }, value, "a threshold is a finite number"},
		"two":          {func(in *sdk.PutMetricAlarmInput) { in.ExtendedStatistic = aws.String("p99") }, together, "Exactly one"},
		"trimmed":      {func(in *sdk.PutMetricAlarmInput) { in.Statistic, in.ExtendedStatistic = "", aws.String("tm99") }, value, "tm99 is no percentile"},
		"a period":     {func(in *sdk.PutMetricAlarmInput) { in.Period = aws.Int32(45) }, value, "Period must be 10, 20, 30 or a multiple of 60"},
		"too long":     {func(in *sdk.PutMetricAlarmInput) { in.Period, in.EvaluationPeriods = aws.Int32(1800), aws.Int32(49) }, together, "across more than a day"},
		"three hours":  {func(in *sdk.PutMetricAlarmInput) { in.Period, in.EvaluationPeriods = aws.Int32(10), aws.Int32(1081) }, together, "kept for three hours"},
		"3 of 2":       {func(in *sdk.PutMetricAlarmInput) { in.DatapointsToAlarm = aws.Int32(4) }, together, "DatapointsToAlarm"},
		"a unit":       {func(in *sdk.PutMetricAlarmInput) { in.Unit = types.StandardUnitSeconds }, value, "Errors is counted in Count"},
		"an action":    {func(in *sdk.PutMetricAlarmInput) { in.AlarmActions = []string{"arn:aws:automate:us-east-1:ec2:stop"} }, value, "arn:aws:automate:us-east-1:ec2:stop is not supported here"},
		"a FIFO topic": {func(in *sdk.PutMetricAlarmInput) { in.OKActions = []string{topic + ".fifo"} }, value, "standard topics"},
		"missing data": {func(in *sdk.PutMetricAlarmInput) { in.TreatMissingData = aws.String("forget") }, value, "missing data"},
		"no metric":    {func(in *sdk.PutMetricAlarmInput) { in.MetricName = nil }, "MissingParameter", "MetricName"},
		"a window": {func(in *sdk.PutMetricAlarmInput) {
			in.EvaluationWindow = &types.EvaluationWindowMemberWallClockWindow{Value: types.WallClockWindow{}}
		}, value, "is not supported here"},
	} {
		in := errorsOf("a", "F")
		c.change(in)
		_, err := w.PutMetricAlarm(t.Context(), in)
		refused(t, what, err, c.code, c.text)
	}
	_, err := w.PutMetricData(t.Context(), &sdk.PutMetricDataInput{Namespace: aws.String("Own"), MetricData: []types.MetricDatum{{MetricName: aws.String("m")}}})
	refused(t, "one's own metrics", err, "UnsupportedOperation", "PutMetricData is not supported here")
	_, err = w.PutCompositeAlarm(t.Context(), &sdk.PutCompositeAlarmInput{AlarmName: aws.String("c"), AlarmRule: aws.String("ALARM(a)")})
	refused(t, "composite", err, "UnsupportedOperation", "PutCompositeAlarm is not supported here")
	_, err = w.SetAlarmState(t.Context(), &sdk.SetAlarmStateInput{AlarmName: aws.String("x"), StateValue: types.StateValueOk, StateReason: aws.String("r")})
	refused(t, "no alarm", err, "ResourceNotFound", "")
	if _, ok := errors.AsType[*types.ResourceNotFound](err); !ok {
		t.Errorf("it is no %T", err)
	}
	_, err = w.DeleteAlarms(t.Context(), &sdk.DeleteAlarmsInput{AlarmNames: []string{"x"}})
	refused(t, "no alarm", err, "ResourceNotFound", "")
	_, err = w.GetMetricData(t.Context(), &sdk.GetMetricDataInput{StartTime: aws.Time(noon.Add(-time.Hour)), EndTime: aws.Time(noon), MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("e"), Expression: aws.String("m1/m2")}}})
	refused(t, "math", err, value, "Expression is not supported here")
	if len(w.alarms.All()) != 0 {
		t.Errorf("there are %v", w.alarms.All())
	}
}

func TestAPercentileIsWatched(t *testing.T) {
	w := newWorld(t)
	in := errorsOf("a", "F")
	in.MetricName, in.Statistic, in.ExtendedStatistic, in.EvaluateLowSampleCountPercentile = aws.String("Duration"), "", aws.String("p99.9"), aws.String("ignore")
	w.put(in)
	if a := w.alarms.Alarm("a"); a.Percentile != "p99.9" || a.FewSamples != "ignore" {
		t.Errorf("got %+v", a)
	}
}

// steps are what the AWS CLI is asked, whatever protocol it speaks.
var steps = []wiretest.Step{
	{Args: []string{"put-metric-alarm", "--alarm-name", "cli", "--namespace", "AWS/SQS", "--metric-name", "ApproximateAgeOfOldestMessage", "--dimensions", "Name=QueueName,Value=q", "--statistic", "Maximum", "--period", "60", "--evaluation-periods", "2",
		"--threshold", "30.5", "--comparison-operator", "GreaterThanThreshold", "--alarm-actions", topic, "--no-actions-enabled", "--tags", "Key=k,Value=v"}},
	{Args: []string{"describe-alarms", "--alarm-names", "cli"}, Want: `"Threshold": 30.5`},
	{Args: []string{"describe-alarms-for-metric", "--namespace", "AWS/SQS", "--metric-name", "ApproximateAgeOfOldestMessage", "--dimensions", "Name=QueueName,Value=q"}, Want: `"AlarmName": "cli"`},
	{Args: []string{"set-alarm-state", "--alarm-name", "cli", "--state-value", "ALARM", "--state-reason", "a test"}},
	{Args: []string{"describe-alarms", "--state-value", "ALARM"}, Want: `"StateReason": "a test"`},
	{Args: []string{"describe-alarm-history", "--alarm-name", "cli", "--history-item-type", "StateUpdate"}, Want: `"Alarm updated from INSUFFICIENT_DATA to ALARM"`},
	{Args: []string{"list-tags-for-resource", "--resource-arn", "arn:aws:cloudwatch:us-east-1:000000000000:alarm:cli"}, Want: `"Key": "k"`},
	{Args: []string{"get-metric-statistics", "--namespace", "AWS/SQS", "--metric-name", "NumberOfMessagesSent", "--dimensions", "Name=QueueName,Value=q", "--start-time", "2026-11-29T11:55:00Z", "--end-time", "2026-11-29T12:00:00Z", "--period", "60", "--statistics", "Sum", "Average"}, Want: `"Sum": 3`},
	{Args: []string{"get-metric-statistics", "--namespace", "AWS/SQS", "--metric-name", "NumberOfMessagesSent", "--dimensions", "Name=QueueName,Value=q", "--start-time", "2026-11-29T11:55:00Z", "--end-time", "2026-11-29T12:00:00Z", "--period", "60", "--extended-statistics", "p50"}, Want: `"p50": 3`},
	{Args: []string{"list-metrics", "--namespace", "AWS/SQS"}, Want: `"MetricName": "NumberOfMessagesSent"`},
	{Args: []string{"put-metric-alarm", "--alarm-name", "cli2", "--namespace", "AWS/EC2", "--metric-name", "CPU", "--statistic", "Maximum", "--period", "60", "--evaluation-periods", "2", "--threshold", "1", "--comparison-operator", "GreaterThanThreshold"},
		Want: "(InvalidParameterValue) when calling the PutMetricAlarm operation: Nothing of the namespace AWS/EC2", Fail: true},
	{Args: []string{"put-dashboard", "--dashboard-name", "d", "--dashboard-body", "{}"}, Want: "(UnsupportedOperation)", Fail: true},
	{Args: []string{"delete-alarms", "--alarm-names", "cli"}},
	{Args: []string{"delete-alarms", "--alarm-names", "cli"}, Want: "(ResourceNotFound)", Fail: true},
}

// newCLIWorld is a world with something to read.
func newCLIWorld(t *testing.T) *world {
	w := newWorld(t)
	w.series.Add(noon, series.Key{Of: "queue", Name: "q", Measure: "NumberOfMessagesSent"}, series.Of(3))
	return w
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	wiretest.CLI(t, newCLIWorld(t).url, "cloudwatch", steps)
}

// TestAnOlderCLIGetsWhatItExpects is the same in the query protocol, which Debian's AWS CLI speaks.
func TestAnOlderCLIGetsWhatItExpects(t *testing.T) {
	w := newCLIWorld(t)
	program := filepath.Join(wiretest.Programs(t, "awscli==1.29.85"), "aws")
	for _, s := range steps {
		out, err := wiretest.Command(t.TempDir(), program, append([]string{"--endpoint-url", w.url, "--output", "json", "cloudwatch"}, s.Args...)...)
		if (err != nil) != s.Fail || !strings.Contains(out, s.Want) {
			t.Errorf("aws cloudwatch %s: got %v\n%s\nwant %s", strings.Join(s.Args, " "), err, out, s.Want)
		}
	}
}

func TestTheJavaScriptSDKGetsWhatItExpects(t *testing.T) {
	w := newCLIWorld(t)
	wiretest.NodeScript(t, []string{"@aws-sdk/client-cloudwatch"}, "testdata/client.mjs", w.url)
	if a := w.alarms.Alarm("js"); a == nil || a.Threshold != 1 || a.Period != time.Minute {
		t.Errorf("got %+v", a)
	}
}

func TestTopicsAndFunctionsAreToldAsDocumented(t *testing.T) {
	at := time.Date(2025, 2, 2, 12, 6, 35, 472e6, time.UTC)
	a := &alarm.Alarm{Definition: alarm.Definition{Name: "ErrorAlarm", Metric: alarm.Metric{Namespace: "AWS/Lambda", Name: "Errors", Dimensions: []alarm.Dimension{{Name: "FunctionName", Value: "F"}}}, Statistic: "Sum",
		Period: time.Minute, Periods: 1, Threshold: 1, Comparison: "GreaterThanOrEqualToThreshold", OnAlarm: []string{topic}}, Situation: alarm.Situation{State: alarm.Alarmed, Reason: "Threshold Crossed", At: at, Data: `{"a":1}`}, Changed: at.Add(-time.Hour)}
	w, was := cloudwatch.Writer{Place: place}, alarm.Situation{State: alarm.Insufficient, Reason: "none", At: at.Add(-time.Minute)}
	if got := w.Subject(a); got != `ALARM: "ErrorAlarm" in US East (N. Virginia)` {
		t.Errorf("got %s", got)
	}
	want := `{"AlarmName":"ErrorAlarm","AlarmDescription":null,"AWSAccountId":"000000000000","AlarmConfigurationUpdatedTimestamp":"2025-02-02T11:06:35.472+0000","NewStateValue":"ALARM","NewStateReason":"Threshold Crossed","StateChangeTime":"2025-02-02T12:06:35.472+0000",` +
		`"Region":"US East (N. Virginia)","AlarmArn":"arn:aws:cloudwatch:us-east-1:000000000000:alarm:ErrorAlarm","OldStateValue":"INSUFFICIENT_DATA","OKActions":[],"AlarmActions":["` + topic + `"],"InsufficientDataActions":[],` +
		`"Trigger":{"MetricName":"Errors","Namespace":"AWS/Lambda","StatisticType":"Statistic","Statistic":"SUM","Unit":null,"Dimensions":[{"value":"F","name":"FunctionName"}],"Period":60,"EvaluationPeriods":1,"ComparisonOperator":"GreaterThanOrEqualToThreshold","Threshold":1,"TreatMissingData":"missing","EvaluateLowSampleCountPercentile":""}}`
	if diff := cmp.Diff(want, string(w.Message(a, was))); diff != "" {
		t.Error(diff)
	}
	var event struct {
		Source, AlarmArn, AccountId, Time, Region string
		AlarmData                                 struct {
			AlarmName            string
			State, PreviousState struct{ Value, Reason, ReasonData, Timestamp string }
			Configuration        struct {
				Metrics []struct {
					Id         string
					MetricStat struct {
						Metric struct {
							Namespace, Name string
							Dimensions      map[string]string
						}
						Period int
						Stat   string
					}
				}
			}
		}
	}
	if err := json.Unmarshal(w.Event(a, was, "id"), &event); err != nil {
		t.Fatal(err)
	}
	d := event.AlarmData
	if event.Source != "aws.cloudwatch" || event.Time != "2025-02-02T12:06:35.472+0000" || d.State.Value != "ALARM" || d.State.ReasonData != `{"a":1}` || d.PreviousState.Value != "INSUFFICIENT_DATA" || len(d.Configuration.Metrics) != 1 || d.Configuration.Metrics[0].MetricStat.Metric.Dimensions["FunctionName"] != "F" || d.Configuration.Metrics[0].MetricStat.Stat != "Sum" {
		t.Errorf("got %+v", event)
	}
}

func FuzzRequestsAreAnsweredOrRefused(f *testing.F) {
	for name, body := range map[string]string{
		"PutMetricAlarm":      `{"AlarmName":"a","Namespace":"AWS/Lambda","MetricName":"Errors","Dimensions":[{"Name":"FunctionName","Value":"F"}],"Statistic":"Sum","Period":60,"EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold"}`,
		"DescribeAlarms":      `{"AlarmNames":["a"],"MaxRecords":1}`,
		"GetMetricStatistics": `{"Namespace":"AWS/SQS","MetricName":"NumberOfMessagesSent","Dimensions":[{"Name":"QueueName","Value":"q"}],"StartTime":0,"EndTime":1e12,"Period":60,"Statistics":["Sum"]}`,
		"GetMetricData":       `{"MetricDataQueries":[{"Id":"a","MetricStat":{"Metric":{"Namespace":"AWS/SQS","MetricName":"NumberOfMessagesSent","Dimensions":[{"Name":"QueueName","Value":"q"}]},"Period":10,"Stat":"p9"}}],"StartTime":"2026-11-29T11:00:00Z","EndTime":"2026-11-29T12:00:00Z"}`,
		"ListMetrics":         `{"NextToken":"x"}`, "SetAlarmState": `{"StateValue":"OK"}`, "DescribeAlarmHistory": `{"StartDate":"x"}`,
	} {
		f.Add(name, body)
	}
	f.Add("PutMetricAlarm", "AlarmName=a&Dimensions.member.1.Name=FunctionName&Period=60&Dimensions.member.2")
	f.Add("DescribeAlarms", "\xbf\x6aAlarmNames\x9f\x61a\xff\xff")
	machine := alarm.NewMachine(alarm.Config{})
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{machine}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	door, err := cloudwatch.New(cloudwatch.Config{Alarms: alarm.New(c, machine), Series: series.New(), Place: place, Now: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, body string) {
		for _, header := range []map[string]string{{"X-Amz-Target": "GraniteServiceVersion20100801." + name}, {"Smithy-Protocol": "rpc-v2-cbor"}, {"Content-Type": "application/x-www-form-urlencoded"}} {
			text := body
			if header["Content-Type"] != "" {
				text = "Action=" + name + "&" + body
			}
			r, w := httptest.NewRequest("POST", "/", nil), httptest.NewRecorder()
			for k, v := range header {
				r.Header.Set(k, v)
			}
			door.ServeAWS(w, &wire.Request{HTTP: r, Path: "/service/GraniteServiceVersion20100801/operation/" + name, Body: []byte(text), Service: "monitoring"})
			if w.Code >= 500 {
				t.Fatalf("%v %q: got %d %q", header, text, w.Code, w.Body)
			}
		}
	})
}
