package streams

import "encoding/json"

// Told says which stream a record, as functions get it, is of, by its ARN, and
// its ID.
func Told(record []byte) (arn, id string, ok bool) {
	var r struct {
		ID     string `json:"eventID"`
		Source string `json:"eventSource"`
		ARN    string `json:"eventSourceARN"`
	}
	if json.Unmarshal(record, &r) != nil || r.Source != "aws:dynamodb" || r.ID == "" {
		return "", "", false
	}
	return r.ARN, r.ID, true
}

// Damaged returns a record, as functions get it, in which each attribute has
// null for a value; or what is given in its place.
func Damaged(record []byte, instead string) []byte {
	if instead != "" {
		return []byte(instead)
	}
	var members map[string]json.RawMessage
	var change map[string]json.RawMessage
	if json.Unmarshal(record, &members) != nil || json.Unmarshal(members["dynamodb"], &change) != nil {
		return record
	}
	for _, name := range []string{"Keys", "NewImage", "OldImage"} {
		var item map[string]json.RawMessage
		if json.Unmarshal(change[name], &item) != nil || item == nil {
			continue
		}
		for attribute := range item {
			item[attribute] = json.RawMessage("null")
		}
		change[name], _ = json.Marshal(item) // names and nulls marshal
	}
	var err error
	if members["dynamodb"], err = json.Marshal(change); err != nil {
		return record
	}
	out, err := json.Marshal(members)
	if err != nil {
		return record
	}
	return out
}
