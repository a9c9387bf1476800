package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readJSON reads JSON with positions. The node is nil when it is not JSON.
func readJSON(file string, data []byte) (*Node, Problems) {
	j := jsonReader{reader: reader{file: file}, data: data, dec: json.NewDecoder(bytes.NewReader(data)), lines: []int{0}}
	j.dec.UseNumber()
	for i, b := range data {
		if b == '\n' {
			j.lines = append(j.lines, i+1)
		}
	}
	n, err := j.value(0)
	if err == nil {
		if _, end := j.dec.Token(); end != io.EOF {
			err = errors.New("something follows the template")
		}
	}
	if err != nil && !j.over {
		j.fault(j.pos(j.start(int(j.dec.InputOffset()))), "Template format error: JSON not well-formed: "+err.Error(), "")
		return nil, j.problems
	}
	if j.over {
		return nil, j.problems
	}
	return n, j.problems
}

type jsonReader struct {
	reader
	data  []byte
	dec   *json.Decoder
	lines []int // the offset of each line's start

	// The last position told, so that a long line is counted once.
	last   Pos
	lastAt int
}

// start returns where the token after offset at begins.
func (j *jsonReader) start(at int) int {
	for at < len(j.data) && strings.IndexByte(" \t\r\n,:", j.data[at]) >= 0 {
		at++
	}
	return at
}

func (j *jsonReader) pos(at int) Pos {
	at = min(at, len(j.data))
	line := sort.SearchInts(j.lines, at+1)
	from, column := j.lines[line-1], 1
	if line == j.last.Line && at >= j.lastAt {
		from, column = j.lastAt, j.last.Column
	}
	j.last = Pos{File: j.file, Line: line, Column: column + utf8.RuneCount(j.data[from:at])}
	j.lastAt = at
	return j.last
}

func (j *jsonReader) token() (json.Token, Pos, error) {
	p := j.pos(j.start(int(j.dec.InputOffset())))
	t, err := j.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return t, p, err
}

func (j *jsonReader) value(depth int) (*Node, error) {
	t, p, err := j.token()
	if err != nil {
		return nil, err
	}
	if !j.enter(p, depth) {
		return nil, errors.New("too large")
	}
	switch t := t.(type) {
	case bool:
		return &Node{Pos: p, Kind: Bool, Text: strconv.FormatBool(t)}, nil
	case json.Number:
		return &Node{Pos: p, Kind: Number, Text: t.String()}, nil
	case string:
		return &Node{Pos: p, Kind: String, Text: t}, nil
	case json.Delim:
		if t == '[' {
			return j.list(p, depth)
		}
		return j.object(p, depth)
	}
	return &Node{Pos: p, Kind: Null}, nil
}

func (j *jsonReader) list(p Pos, depth int) (*Node, error) {
	n := &Node{Pos: p, Kind: List}
	for j.dec.More() {
		v, err := j.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, v)
	}
	_, _, err := j.token()
	return n, err
}

func (j *jsonReader) object(p Pos, depth int) (*Node, error) {
	n := &Node{Pos: p, Kind: Map}
	places := map[string]Pos{}
	for j.dec.More() {
		k, kp, err := j.token()
		if err != nil {
			return nil, err
		}
		name, _ := k.(string)
		v, err := j.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if first, again := places[name]; again {
			n.Fields = j.duplicate(n.Fields, name, kp, first)
		}
		places[name] = kp
		n.Fields = append(n.Fields, Field{Name: name, Pos: kp, Value: v})
	}
	_, _, err := j.token()
	return n, err
}
