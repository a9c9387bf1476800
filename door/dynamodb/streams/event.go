package streams

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/value"
)

// labelLayout is how a stream's label is written: when the stream was opened.
const labelLayout = "2006-01-02T15:04:05.000"

// Label is what tells a table's streams apart: when each was opened, unless a
// template has to know it before.
func Label(s *table.Stream) string {
	if s.Label != "" {
		return s.Label
	}
	return s.Created.UTC().Format(labelLayout)
}

// ARN is a stream's name.
func ARN(place catalog.Place, s *table.Stream) string {
	return arnOf(place, s.Table, Label(s))
}

func arnOf(place catalog.Place, name, label string) string {
	return "arn:aws:dynamodb:" + place.Region + ":" + place.Account + ":table/" + name + "/stream/" + label
}

// Name returns the table and the label that a stream's ARN names, and false
// for what is no ARN of a stream of this place.
func Name(place catalog.Place, arn string) (name, label string, ok bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:dynamodb:"+place.Region+":"+place.Account+":table/")
	if !ok {
		return "", "", false
	}
	name, label, ok = strings.Cut(rest, "/stream/")
	if _, err := time.Parse(labelLayout, label); !ok || err != nil || name == "" || strings.Contains(name, "/") {
		return "", "", false
	}
	return name, label, true
}

// FindAll returns the streams of an ARN, oldest first: a stream that a template
// declares has the same name when it is closed and opened again.
func FindAll(tables *table.Tables, place catalog.Place, arn string) []*table.Stream {
	name, label, ok := Name(place, arn)
	if !ok {
		return nil
	}
	var all []*table.Stream
	for _, s := range tables.Streams(name) {
		if Label(s) == label {
			all = append(all, s)
		}
	}
	return all
}

// Find returns the stream of an ARN, the latest when there are several, and nil
// when there is none.
func Find(tables *table.Tables, place catalog.Place, arn string) *table.Stream {
	all := FindAll(tables, place, arn)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// Shard is the name of a stream's one shard.
func Shard(s *table.Stream) string {
	return fmt.Sprintf("shardId-%020d-%08x", s.Created.UnixMilli(), s.Number)
}

// sequenceDigits is how long sequence numbers are; a one comes first, since
// clients compare them as numbers and as text.
const sequenceDigits = 20

// Sequence is a sequence number as clients see it.
func Sequence(n uint64) string {
	b := make([]byte, 0, sequenceDigits+1)
	b = append(b, '1')
	digits := strconv.FormatUint(n, 10)
	for range sequenceDigits - len(digits) {
		b = append(b, '0')
	}
	return string(append(b, digits...))
}

// ParseSequence reads what Sequence wrote.
func ParseSequence(s string) (uint64, bool) {
	if len(s) != sequenceDigits+1 || s[0] != '1' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	return n, err == nil
}

// eventNames are the kinds of change in the words of the API.
var eventNames = [...]string{table.Inserted: "INSERT", table.Modified: "MODIFY", table.Removed: "REMOVE"}

// Record returns a change as a function gets it: AWS Lambda Developer Guide,
// "Using AWS Lambda with Amazon DynamoDB".
func Record(place catalog.Place, s *table.Stream, c *table.Change) []byte {
	b := appendRecord(make([]byte, 0, 512+4*c.Bytes), place, s, c)
	if c.System {
		b = append(b, `,"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}`...)
	}
	return append(append(append(b, `,"eventSourceARN":"`...), ARN(place, s)...), `"}`...)
}

// appendRecord is what a record has for functions and for readers alike, not closed.
func appendRecord(b []byte, place catalog.Place, s *table.Stream, c *table.Change) []byte {
	b = append(append(b, `{"eventID":"`...), eventID(s, c)...)
	b = append(append(b, `","eventName":"`...), eventNames[c.Kind]...)
	b = append(append(b, `","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"`...), place.Region...)
	b = strconv.AppendInt(append(b, `","dynamodb":{"ApproximateCreationDateTime":`...), c.At.Unix(), 10)
	b = value.AppendItemJSON(append(b, `.0,"Keys":`...), c.Keys)
	if c.New != nil {
		b = value.AppendItemJSON(append(b, `,"NewImage":`...), c.New)
	}
	if c.Old != nil {
		b = value.AppendItemJSON(append(b, `,"OldImage":`...), c.Old)
	}
	b = append(append(b, `,"SequenceNumber":"`...), Sequence(c.Sequence)...)
	b = strconv.AppendInt(append(b, `","SizeBytes":`...), int64(c.Bytes), 10)
	return append(append(append(b, `,"StreamViewType":"`...), s.View...), `"}`...)
}

// eventID names one change, for ever and everywhere the same.
func eventID(s *table.Stream, c *table.Change) string {
	h := sha256.New()
	h.Write([]byte(s.Table))
	h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{0}, s.Number), c.Sequence))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// FirstFailure reads the report that a function with ReportBatchItemFailures
// returns, and says which of the sequence numbers of its batch is the lowest
// that has failed, by its position: everything from it on is to be run again.
// Without a report, or with one that names nothing, it is -1. An error says
// that the report makes no sense: then the whole batch has failed.
func FirstFailure(response []byte, sequences []string) (int, error) {
	text := strings.TrimSpace(string(response))
	if text == "" || text == `""` || text == "null" {
		return -1, nil
	}
	var report map[string]json.RawMessage
	if err := json.Unmarshal(response, &report); err != nil {
		return 0, fmt.Errorf("the response is no JSON object: %w", err)
	}
	raw, ok := report["batchItemFailures"]
	if _, state := report["state"]; !ok && (len(report) == 0 || state) {
		return -1, nil
	}
	if !ok {
		return 0, errors.New("the response has no batchItemFailures")
	}
	var items []struct {
		ID *string `json:"itemIdentifier"`
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return 0, fmt.Errorf("batchItemFailures is no list of objects with an itemIdentifier: %w", err)
	}
	first := -1
	for _, item := range items {
		if item.ID == nil || *item.ID == "" {
			return 0, errors.New("an itemIdentifier is empty")
		}
		at := -1
		for i, s := range sequences {
			if s == *item.ID {
				at = i
				break
			}
		}
		if at < 0 {
			return 0, fmt.Errorf("the itemIdentifier %q is no sequence number of the batch", *item.ID)
		}
		if first < 0 || at < first {
			first = at
		}
	}
	return first, nil
}

// A Surrender is a batch of records that a mapping has given up.
type Surrender struct {
	Request       string
	FunctionARN   string // without a qualifier, unless the mapping has one
	Condition     string
	Invokes       int
	Ran           bool // the function was invoked, and what follows says how that went
	Status        int
	Version       string
	FunctionError bool // it failed; it did not just report a record
	At            time.Time
	ARN           string // of the stream
	Shard         string
	First, Last   uint64
	Made, MadeTo  time.Time // when the first and the last record were made
	Records       int
}

// Told is what a destination is told of it: AWS Lambda Developer Guide,
// "Retaining discarded batches". It points at the records and has none of them.
func (s *Surrender) Told() []byte {
	type response struct {
		StatusCode      int     `json:"statusCode"`
		ExecutedVersion string  `json:"executedVersion"`
		FunctionError   *string `json:"functionError"`
	}
	var out struct {
		Request struct {
			ID        string `json:"requestId"`
			ARN       string `json:"functionArn"`
			Condition string `json:"condition"`
			Invokes   int    `json:"approximateInvokeCount"`
		} `json:"requestContext"`
		Response *response `json:"responseContext,omitempty"`
		Version  string    `json:"version"`
		At       string    `json:"timestamp"`
		Batch    struct {
			Shard   string `json:"shardId"`
			First   string `json:"startSequenceNumber"`
			Last    string `json:"endSequenceNumber"`
			Made    string `json:"approximateArrivalOfFirstRecord"`
			MadeTo  string `json:"approximateArrivalOfLastRecord"`
			Records int    `json:"batchSize"`
			ARN     string `json:"streamArn"`
		} `json:"DDBStreamBatchInfo"`
	}
	out.Request.ID, out.Request.ARN, out.Request.Condition, out.Request.Invokes = s.Request, s.FunctionARN, s.Condition, s.Invokes
	if s.Ran {
		out.Response = &response{StatusCode: s.Status, ExecutedVersion: s.Version}
		if s.FunctionError {
			out.Response.FunctionError = new("Unhandled")
		}
	}
	out.Version, out.At = "1.0", s.At.UTC().Format("2006-01-02T15:04:05.000Z")
	b := &out.Batch
	b.Shard, b.First, b.Last, b.Records, b.ARN = s.Shard, Sequence(s.First), Sequence(s.Last), s.Records, s.ARN
	b.Made, b.MadeTo = s.Made.UTC().Format(time.RFC3339), s.MadeTo.UTC().Format(time.RFC3339)
	body, _ := json.Marshal(out) // texts and numbers always marshal
	return body
}
