package node

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/catalog"
)

// settle is how long files must stay as they are before they are built:
// editors and version control write many at once.
const settle = 150 * time.Millisecond

// watchedMax bounds the directories that are watched; the kernel bounds them too.
const watchedMax = 8192

// openSources begins to watch what was read, before it is built: what changes
// meanwhile is seen by watchSources.
func (n *Node) openSources() {
	if !n.cfg.Watch {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		n.cfg.Progress("changes of code will not be seen: " + err.Error())
		return
	}
	n.sources = w
	n.watchAll(w)
}

// watchSources deploys again whenever the template or a function's source has
// changed, until ctx ends. What is wrong is told, and what runs goes on.
func (n *Node) watchSources(ctx context.Context) error {
	w := n.sources
	n.watchAll(w) // builds have said since what else they read
	var quiet <-chan time.Time
	wrong := false
	for {
		select {
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			if e.Op == fsnotify.Chmod || ignored(e.Name) {
				continue
			}
			quiet = time.After(settle)
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			n.cfg.Log.Warn("watching sources", "error", err)
			quiet = time.After(settle) // something was missed: look at everything
		case <-quiet:
			quiet = nil
			wrong = n.reload(ctx, wrong)
			n.watchAll(w)
		case <-ctx.Done():
			return nil
		}
	}
}

// reload deploys what is there now, and returns whether something is wrong with
// it. wrong says so of what was there before.
func (n *Node) reload(ctx context.Context, wrong bool) bool {
	before := n.catalog.View()
	started := time.Now()
	t, err := n.read(ctx)
	if err == nil {
		n.point(t)
		err = n.deploy(ctx, t)
	} else if ctx.Err() == nil {
		n.kept(ctx, "", err)()
	}
	if ctx.Err() != nil {
		return wrong
	}
	if err != nil {
		n.cfg.Progress("not reloaded: " + err.Error())
		return true
	}
	_, failures := n.app.get()
	if changed := difference(before, n.catalog.View()); len(changed) > 0 {
		n.cfg.Progress("reloaded " + strings.Join(changed, ", ") + " in " + time.Since(started).Round(time.Millisecond).String())
	} else if wrong && len(failures) == 0 {
		n.cfg.Progress("right again, and as what runs: nothing had to be reloaded")
	}
	return len(failures) > 0
}

// difference names the functions that are not the same in both views.
func difference(a, b *catalog.View) []string {
	revisions := map[string]string{}
	for _, f := range a.Functions() {
		revisions[f.Name] = f.Revision
	}
	changed := map[string]bool{}
	for _, f := range b.Functions() {
		if revisions[f.Name] != f.Revision {
			changed[f.Name] = true
		}
		delete(revisions, f.Name)
	}
	for name := range revisions {
		changed[name] = true
	}
	return slices.Sorted(maps.Keys(changed))
}

// watchAll watches every directory that holds a source. Watching one twice does nothing.
func (n *Node) watchAll(w *fsnotify.Watcher) {
	t, _ := n.app.get()
	roots := []string{filepath.Dir(t.Path)}
	for _, f := range t.Functions {
		roots = append(roots, build.Inputs(f.Source)...)
		roots = append(roots, build.Extra(f.Source, n.functionBuild(f))...)
	}
	for _, l := range t.Layers {
		roots = append(roots, build.Inputs(l.Source)...)
	}
	roots = append(roots, t.Included...)
	for i, root := range roots {
		deep := i > 0 // of the template's own directory only the files
		if err := watchTree(w, root, deep); err != nil {
			n.cfg.Progress("changes below " + root + " will not all be seen: " + err.Error())
		}
	}
}

func watchTree(w *fsnotify.Watcher, root string, deep bool) error {
	info, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it may come back: its parent is watched
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return w.Add(filepath.Dir(root)) // editors replace files: a watch on the file itself would be lost
	}
	if !deep {
		return w.Add(root)
	}
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || !e.IsDir():
			return nil
		case path != root && ignored(path):
			return fs.SkipDir
		case len(w.WatchList()) >= watchedMax:
			return &daruma.Error{Op: "watch", Ref: path, Kind: daruma.KindTooLarge, Err: errors.New("there are too many directories")}
		}
		return w.Add(path)
	})
}

// ignored says whether a change of path does not matter: tools' own files, and what builds leave behind.
func ignored(path string) bool {
	switch name := filepath.Base(path); {
	case build.Ignored(name), name == ".venv", name == ".idea", name == ".vscode":
		return true
	default:
		return strings.HasSuffix(name, "~") || strings.HasPrefix(name, ".#") || strings.HasSuffix(name, ".swp") || strings.HasSuffix(name, ".pyc")
	}
}
