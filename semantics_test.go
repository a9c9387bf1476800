package daruma_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryLineOfTheSemanticsNamesATestThatExists keeps docs/semantics honest:
// each line of its tables names what holds it, and what it names is there.
func TestEveryLineOfTheSemanticsNamesATestThatExists(t *testing.T) {
	tests, scripts := testsOfTheModule(t)
	docs, err := filepath.Glob("docs/semantics/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("there are no documents: %v", err)
	}
	names := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	script := regexp.MustCompile(`\bscripts? (\w+)|\b(\w+)\.txtar`)
	holds := regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]|\bscripts? \w|\.txtar|\| [A-Z](:| \|)|every test|\.md\)|\| [–—] \|`) // one letter is a test that its document names above, a dash says that nothing does
	for _, name := range docs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		held := false // the table at hand says what holds each line
		for i, line := range strings.Split(string(text), "\n") {
			switch {
			case !strings.HasPrefix(line, "|"):
				held = false
			case strings.HasSuffix(strings.ToLower(line), "| test |"):
				held = true
			case held && !strings.Contains(line, "|---|") && !holds.MatchString(line):
				t.Errorf("%s:%d: nothing is said to hold %s", name, i+1, line)
			}
			for _, n := range names.FindAllString(line, -1) {
				if !tests[n] {
					t.Errorf("%s:%d: there is no %s", name, i+1, n)
				}
			}
			for _, m := range script.FindAllStringSubmatch(line, -1) {
				if n := m[1] + m[2]; strings.HasPrefix(line, "|") && !scripts[n] {
					t.Errorf("%s:%d: there is no script %s", name, i+1, n)
				}
			}
		}
	}
}

// testsOfTheModule returns the names of all tests and of all scripts.
func testsOfTheModule(t *testing.T) (tests, scripts map[string]bool) {
	t.Helper()
	tests, scripts = map[string]bool{}, map[string]bool{}
	named := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != "." && strings.HasPrefix(e.Name(), "."):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			scripts[strings.TrimSuffix(e.Name(), ".txtar")] = true
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range named.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, scripts
}
