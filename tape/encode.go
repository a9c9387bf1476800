package tape

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/daruma-io/daruma"
)

// Encode writes a tape down.
func Encode(t *Tape) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	err := json.NewEncoder(z).Encode(t)
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, &daruma.Error{Op: "write recording", Kind: daruma.KindInternal, Err: err}
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote. It is made for what comes from elsewhere:
// what it reads is bounded, whatever b unpacks to. KindUnsupported for a
// version that is not known, KindCorrupt for anything else that is wrong.
func Decode(b []byte) (*Tape, error) {
	wrong := func(kind daruma.Kind, err error) (*Tape, error) {
		return nil, &daruma.Error{Op: "read recording", Kind: kind, Err: err}
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return wrong(daruma.KindCorrupt, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, encodedBytesMax+1))
	switch {
	case err != nil:
		return wrong(daruma.KindCorrupt, err)
	case len(text) > encodedBytesMax:
		return wrong(daruma.KindCorrupt, fmt.Errorf("it unpacks to more than %d bytes", encodedBytesMax))
	}
	t := new(Tape)
	if err := json.Unmarshal(text, t); err != nil {
		return wrong(daruma.KindCorrupt, err)
	}
	if t.Version != version {
		return wrong(daruma.KindUnsupported, fmt.Errorf("version %d is not known", t.Version))
	}
	if len(t.Exchanges) > ExchangesMax+BeforeMax {
		return wrong(daruma.KindCorrupt, fmt.Errorf("%d exchanges", len(t.Exchanges)))
	}
	for i := range t.Exchanges {
		if err := t.Exchanges[i].check(); err != nil {
			return wrong(daruma.KindCorrupt, fmt.Errorf("exchange %d: %w", i, err))
		}
	}
	return t, nil
}

// check says what is wrong with an exchange that is to be answered from.
func (x *Exchange) check() error {
	switch {
	case x.Kind != Request && x.Kind != Connection && x.Kind != Lookup:
		return fmt.Errorf("%q is no kind", x.Kind)
	case x.Host == "":
		return errors.New("it has no host")
	case x.Kind == Request && !x.Pending && x.Error == "" && (x.Status < 200 || x.Status > 999):
		return fmt.Errorf("%d is no status of an answer", x.Status)
	case x.Status != 0 && (x.Status < 200 || x.Status > 999):
		return fmt.Errorf("%d is no status of an answer", x.Status)
	case x.Took < 0:
		return errors.New("it took less than nothing")
	}
	return nil
}
