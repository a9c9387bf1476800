package cloudwatch

import (
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/series"
)

// Kinds of what is counted, as keys of series have them.
const (
	Functions = "function"
	Queues    = "queue"
	Topics    = "topic"
)

// A space is a namespace: its metrics are of what one dimension names.
type space struct {
	dimension string
	of        string            // the kind of what it names
	units     map[string]string // by the names of metrics
}

// Units of metrics.
const (
	units        = "Count"
	milliseconds = "Milliseconds"
	seconds      = "Seconds"
)

// namespaces are the metrics there are: those of the services that the platform
// counts, as the services' guides define them.
var namespaces = map[string]space{
	"AWS/Lambda": {"FunctionName", Functions, map[string]string{"Invocations": units, "Errors": units, "Throttles": units, "Duration": milliseconds, "ConcurrentExecutions": units,
		"AsyncEventsReceived": units, "AsyncEventsDropped": units, "DeadLetterErrors": units, "DestinationDeliveryFailures": units}},
	"AWS/SQS": {"QueueName", Queues, map[string]string{"ApproximateNumberOfMessagesVisible": units, "ApproximateNumberOfMessagesNotVisible": units, "ApproximateNumberOfMessagesDelayed": units,
		"ApproximateAgeOfOldestMessage": seconds, "NumberOfMessagesSent": units, "NumberOfMessagesReceived": units, "NumberOfMessagesDeleted": units}},
	"AWS/SNS": {"TopicName", Topics, map[string]string{"NumberOfMessagesPublished": units, "NumberOfNotificationsDelivered": units, "NumberOfNotificationsFailed": units, "NumberOfNotificationsFilteredOut": units}},
}

// counted lists the metrics there are.
func counted() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		s := namespaces[name]
		all = append(all, name+" by "+s.dimension+": "+strings.Join(slices.Sorted(maps.Keys(s.units)), ", "))
	}
	return strings.Join(all, "; ")
}

// notCounted is the error of a metric that is not counted here.
type notCounted string

func (n notCounted) Error() string { return string(n) + ". Counted here are: " + counted() }

// Key is where what a metric counts is kept; its measure is the metric's name.
// The error names the metrics there are.
func Key(m alarm.Metric) (series.Key, error) {
	s, known := namespaces[m.Namespace]
	switch {
	case !known:
		return series.Key{}, notCounted("Nothing of the namespace " + m.Namespace + " is counted here")
	case s.units[m.Name] == "":
		return series.Key{}, notCounted("The metric " + m.Name + " of " + m.Namespace + " is not counted here")
	case len(m.Dimensions) != 1 || m.Dimensions[0].Name != s.dimension || m.Dimensions[0].Value == "":
		return series.Key{}, notCounted("The metrics of " + m.Namespace + " are counted by " + s.dimension + ", and by nothing else")
	}
	return series.Key{Of: s.of, Name: m.Dimensions[0].Value, Measure: m.Name}, nil
}

// metricOf is the metric that is kept at a key.
func metricOf(k series.Key) (m alarm.Metric, ok bool) {
	for name, s := range namespaces {
		if s.of == k.Of && s.units[k.Measure] != "" {
			return alarm.Metric{Namespace: name, Name: k.Measure, Dimensions: []alarm.Dimension{{Name: s.dimension, Value: k.Name}}}, true
		}
	}
	return m, false
}

// unitOf is the unit of a metric that is counted.
func unitOf(m alarm.Metric) string { return namespaces[m.Namespace].units[m.Name] }
