// Package streams is the door for the changes of tables: clients of the
// DynamoDB Streams API read them through it, and it says how functions and
// readers see a change.
//
// It turns requests into calls of [table.Tables] and answers in the API's JSON
// (protocol JSON 1.0). Each stream of a table is one shard, from when it is
// opened until it is closed: what AWS splits for its own load stays in one
// order here. An iterator says by itself where it stands and until when it
// holds, so that the door keeps nothing.
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package streams

import (
	"encoding/json"
	"errors"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/refuse"
)

// Target is what the target header of each request begins with.
const Target = "DynamoDBStreams_20120810."

// Config says what the door needs. All of it must be given.
type Config struct {
	Tables *table.Tables
	Place  catalog.Place
	Clock  daruma.Clock
}

// A Door answers the streams API.
type Door struct {
	cfg        Config
	operations map[string]func(*Door, *wire.Request) (any, error)
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Tables == nil || cfg.Place.Region == "" || cfg.Place.Account == "" || cfg.Clock == nil {
		return nil, &daruma.Error{Op: "streams door", Kind: daruma.KindInvalid, Hint: "Tables, Place and Clock must be given"}
	}
	return &Door{cfg: cfg, operations: map[string]func(*Door, *wire.Request) (any, error){
		"ListStreams": (*Door).listStreams, "DescribeStream": (*Door).describeStream, "GetShardIterator": (*Door).getShardIterator, "GetRecords": (*Door).getRecords,
	}}, nil
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	status := http.StatusOK
	out, err := d.serve(r)
	body, marshalled := out.([]byte)
	if err == nil && !marshalled {
		body, err = json.Marshal(out)
	}
	if err != nil {
		why := refused(err)
		status = why.status
		body, _ = json.Marshal(struct { // three texts always marshal
			Type    string `json:"__type"`
			Message string `json:"message,omitempty"`
		}{why.typ, why.message})
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/x-amz-json-1.0"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["X-Amz-Crc32"] = []string{strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}
	w.WriteHeader(status)
	w.Write(body)
}

func (d *Door) serve(r *wire.Request) (any, error) {
	op := d.operations[strings.TrimPrefix(r.HTTP.Header.Get("X-Amz-Target"), Target)]
	if op == nil {
		return nil, &refusal{400, "com.amazon.coral.service#UnknownOperationException", ""}
	}
	return op(d, r)
}

// A refusal is why a request is refused: its error type and message.
type refusal struct {
	status       int
	typ, message string
}

func (r *refusal) Error() string { return r.typ + ": " + r.message }

func validation(message string) *refusal {
	return &refusal{400, "com.amazon.coral.validate#ValidationException", message}
}

const namespace = "com.amazonaws.dynamodb.v20120810#"

func missing(what string) *refusal {
	return &refusal{400, namespace + "ResourceNotFoundException", "Requested resource not found: " + what}
}

// refused is what a client is told of an error.
func refused(err error) *refusal {
	if own, ok := errors.AsType[*refusal](err); ok {
		return own
	}
	if noun, ok := errors.AsType[*refuse.Error](err); ok {
		switch noun.Code {
		case refuse.TrimmedData:
			return &refusal{400, namespace + "TrimmedDataAccessException", noun.Message}
		case refuse.NotFound:
			return missing("Shard does not exist")
		}
	}
	switch daruma.KindOf(err) {
	case daruma.KindUnavailable, daruma.KindExpired, daruma.KindFull:
		return &refusal{http.StatusServiceUnavailable, namespace + "ServiceUnavailable", err.Error()}
	}
	return &refusal{http.StatusInternalServerError, namespace + "InternalServerError", err.Error()}
}

// A fault collects what is wrong with the members of a request.
type faults []string

func (f *faults) add(value, at, constraint string) {
	*f = append(*f, "Value "+value+" at '"+at+"' failed to satisfy constraint: Member must "+constraint)
}

// text checks a member that must be there and may be so long.
func (f *faults) text(v *string, at string, least, most int) {
	switch {
	case v == nil:
		f.add("null", at, "not be null")
	case len(*v) < least:
		f.add("'"+*v+"'", at, "have length greater than or equal to "+strconv.Itoa(least))
	case len(*v) > most:
		f.add("'"+*v+"'", at, "have length less than or equal to "+strconv.Itoa(most))
	}
}

// limit checks a number that may be left out, and returns it.
func (f *faults) limit(v *int64, most int64) int {
	switch {
	case v == nil:
		return int(most)
	case *v < 1:
		f.add("'"+strconv.FormatInt(*v, 10)+"'", "limit", "have value greater than or equal to 1")
	case *v > most:
		f.add("'"+strconv.FormatInt(*v, 10)+"'", "limit", "have value less than or equal to "+strconv.FormatInt(most, 10))
	}
	return int(*v)
}

func (f faults) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return validation("1 validation error detected: " + f[0])
	}
	return validation(strconv.Itoa(len(f)) + " validation errors detected: " + strings.Join(f, "; "))
}

// decode reads a request.
func decode(r *wire.Request, into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return &refusal{400, "com.amazon.coral.service#SerializationException", err.Error()}
	}
	return nil
}
