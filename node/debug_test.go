package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/reproduce"
	"github.com/daruma-io/daruma/run/runtimes"
)

func TestNothingIsBuiltForADebuggerThatIsNotThere(t *testing.T) {
	self, err := os.Executable() // a Go program
	if err != nil {
		t.Fatal(err)
	}
	code := t.TempDir()
	if err := os.Symlink(self, filepath.Join(code, "bootstrap")); err != nil {
		t.Fatal(err)
	}
	opened, closeRig, err := OpenRig(Config{Data: t.TempDir(), Isolation: "processes"})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRig()
	s := opened.(*rig)
	s.runtimes = runtimes.New(runtimes.Config{Path: t.TempDir(), Home: t.TempDir(), Cache: t.TempDir()})
	s.rebuild = func(context.Context, *catalog.Function) catalog.Code {
		t.Error("got a build, which takes minutes, before anybody knew that there is no dlv")
		return catalog.Code{}
	}
	f := &catalog.Function{Name: "f", Runtime: "provided.al2023", Handler: "x", Code: catalog.Code{Dir: code}}
	if _, err = s.debug(t.Context(), &reproduce.Scene{Function: f}); !strings.Contains(daruma.HintOf(err), "delve") {
		t.Errorf("got %v (%s), want how to get dlv", err, daruma.HintOf(err))
	}
}
