package template

import "strings"

// A StreamMapping is what a mapping of a stream has beside the rest. What is
// not given is nil, or zero.
type StreamMapping struct {
	Start     string
	Lanes     *int
	Retries   *int
	Age       *int // seconds
	Tumble    *int // seconds
	Bisect    bool
	OnFailure string // an ARN
}

// isStream says whether an ARN is that of the stream of a table.
func isStream(arn string) bool {
	return strings.HasPrefix(arn, "arn:aws:dynamodb:") && strings.Contains(arn, "/stream/")
}

// foreignMappings are properties that mappings of some sources have, and others do not.
var foreignMappings = []string{"StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds",
	"TumblingWindowInSeconds", "DestinationConfig", "Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource", "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig"}

// streamSettings reads what mappings of streams have beside the rest.
func (l *loader) streamSettings(p *properties, m *Mapping, sam bool) {
	number := func(name string, least, most int) *int {
		if !p.has(name) {
			p.ask(name)
			return nil
		}
		return new(p.integer(name, least, most, least))
	}
	p.require("StartingPosition")
	m.Stream = &StreamMapping{Start: p.one("StartingPosition", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"), Lanes: number("ParallelizationFactor", 1, 10),
		Retries: number("MaximumRetryAttempts", -1, 10_000), Age: number("MaximumRecordAgeInSeconds", -1, 604_800), Tumble: number("TumblingWindowInSeconds", 0, 900)}
	if m.Stream.Start == "AT_TIMESTAMP" || p.given("StartingPositionTimestamp") {
		p.fault("StartingPosition", p.at("StartingPosition"), "Unsupported starting position for arn type: "+m.Source, "it is TRIM_HORIZON or LATEST")
	}
	p.ask("StartingPositionTimestamp")
	if p.has("BisectBatchOnFunctionError") {
		m.Stream.Bisect = p.boolean("BisectBatchOnFunctionError")
	}
	p.ask("BisectBatchOnFunctionError")
	d := p.sub("DestinationConfig")
	if d == nil {
		return
	}
	d.refuse("OnSuccess", "what becomes of batches that went well", "streams tell of failures only")
	m.Stream.OnFailure = l.streamDestination(d, m, sam)
	d.done()
}

// streamDestination reads the queue or topic that is told of batches that are given up.
func (l *loader) streamDestination(d *properties, m *Mapping, sam bool) string {
	c := d.sub("OnFailure")
	if c == nil {
		return ""
	}
	if sam {
		c.one("Type", "SQS", "SNS", "S3")
	}
	c.require("Destination")
	v := c.value("Destination")
	arn, records := c.text("Destination"), "what is told of records of "+m.Source+" that were given up"
	c.done()
	switch {
	case arn == "":
		return ""
	case strings.HasPrefix(arn, "arn:aws:sqs:"):
		return l.queueTarget(c, "Destination", v, records)
	case strings.HasPrefix(arn, "arn:aws:sns:"):
		return l.topicTarget(c, "Destination", v, records)
	}
	c.missing("Destination", c.at("Destination"), "destinations of streams other than queues and topics are not supported", records, "use a queue")
	return ""
}
