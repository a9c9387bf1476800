package sqs

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/quote"
)

// Told says which queue the message of a record, as functions get it, comes
// from, and its ID.
func Told(place catalog.Place, record []byte) (queue, id string, ok bool) {
	var r struct {
		ID     string `json:"messageId"`
		Source string `json:"eventSource"`
		ARN    string `json:"eventSourceARN"`
	}
	if json.Unmarshal(record, &r) != nil || r.Source != "aws:sqs" || r.ID == "" {
		return "", "", false
	}
	queue, ok = Name(place, r.ARN)
	return queue, r.ID, ok
}

// Damaged returns the record of a message, as functions get it, with half of
// the message's body, or with another body. Its sum is that of the message as
// it was sent.
func Damaged(record []byte, body string) []byte {
	var members map[string]json.RawMessage
	var was string
	if json.Unmarshal(record, &members) != nil || json.Unmarshal(members["body"], &was) != nil {
		return record
	}
	if body == "" {
		half := len(was) / 2
		for half > 0 && !utf8.RuneStart(was[half]) {
			half--
		}
		body = was[:half]
	}
	members["body"] = quote.Append(nil, body)
	out, err := json.Marshal(members)
	if err != nil {
		return record
	}
	return out
}
