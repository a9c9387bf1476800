package runtimes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/daruma-io/daruma/build/buildtest"
)

func TestAJavaFunctionRunsOnTheFetchedClient(t *testing.T) {
	for _, tool := range []string{"mvn", "javac", "java"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed on this machine", tool)
		}
	}
	buildtest.NeedRegistry(t)
	f := function(t, "java17", "g.App::handle", map[string]string{"App.java": `package g;
import java.util.Map;
public class App {
  public Map<String, Object> handle(Map<String, Object> in) { if (in.containsKey("fail")) throw new IllegalStateException("no"); return Map.of("got", in.get("a")); }
}`})
	f.MemoryMB = 512
	out, err := exec.Command("javac", "--release", "11", "-d", f.Code.Dir, filepath.Join(f.Code.Dir, "App.java")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Remove(filepath.Join(f.Code.Dir, "App.java")); err != nil {
		t.Fatal(err)
	}
	p := start(t, f, "PATH=/usr/bin:/bin")
	p.invoke(`{"a":1}`).want(t, "response", `{"got":1}`)
	a := p.invoke(`{"fail":1}`)
	if a.kind != "error" {
		t.Errorf("got %s %s, want an error", a.kind, a.body)
	}
	contains(t, a.body, `"errorType":"java.lang.IllegalStateException"`)
	p.invoke(`{"a":2}`).want(t, "response", `{"got":2}`)
}
