package demo

import (
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/txtar"
)

// orders is examples/orders as one text: a directory with a go.mod of its own
// cannot be embedded. A test holds it to be the same, and makes it anew with -update.
//
//go:embed orders.txtar
var orders []byte

// ownerVariable names the variable that says where owners are told.
const ownerVariable = "DARUMA_DEMO_OWNER"

// told is the example's daruma.yaml: owners are told where the demonstration
// listens.
const told = `# Owners are told here; see docs/notifications.md.
Channels:
  owner: { Webhook: { URL: env:` + ownerVariable + ` } }
Notify: [owner]
Owner: shop@example.com
`

// copyExample writes the example into dir. What is there already stays as it
// is: somebody may have changed it.
func copyExample(dir string) error {
	for _, f := range append(txtar.Parse(orders).Files, txtar.File{Name: "daruma.yaml", Data: []byte(told)}) {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = out.Write(f.Data)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
	return nil
}
