package ledger

import (
	"context"

	"github.com/daruma-io/daruma/cell"
)

// A Release is the code and configuration of a function that open failures
// happened with: what is needed to run their events again as they ran.
type Release struct {
	Function   string `json:"function"`
	Revision   string `json:"revision"`
	CodeSHA256 string `json:"codeSha256,omitempty"`
	Open       int64  `json:"open"` // failures
}

// ReleasesMax bounds the releases that one call returns.
const ReleasesMax = 10_000

// Releases returns the code and configurations that open failures happened
// with, by function; at most ReleasesMax.
func (l *Ledger) Releases(ctx context.Context) ([]Release, error) {
	var list []Release
	err := l.view(ctx, "read releases", func(r *cell.Reader) error {
		for _, one := range releases().All(r, cell.Prefix([]byte{spaceRelease})) {
			if len(list) == ReleasesMax {
				break
			}
			list = append(list, *one)
		}
		return nil
	})
	return list, err
}

// need counts the open failures of f's release up or down.
func need(tx *cell.Tx, f *Failure, by int64) {
	if f.Revision == "" || !f.Hop.Runs() {
		return
	}
	key := releaseKey(f.Function, f.Revision)
	r := releases().Get(tx, key)
	if r == nil {
		r = &Release{Function: f.Function, Revision: f.Revision, CodeSHA256: f.CodeSHA256}
	}
	if r.Open += by; r.Open <= 0 {
		tx.Delete(key)
		return
	}
	releases().Put(tx, key, r)
}

func releaseKey(function, revision string) []byte {
	k := append([]byte{spaceRelease}, Cut(function, indexedBytesMax)...)
	return append(append(k, 0), Cut(revision, indexedBytesMax)...)
}
