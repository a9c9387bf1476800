package lambda

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestEveryLineOfTheSemanticsTableNamesATestThatExists(t *testing.T) {
	tests := map[string]bool{}
	for _, dir := range []string{".", "../wire", "../web", "../..", "../../catalog", "../../template", "../../cmd/daruma"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(b), -1) {
				tests[m[1]] = true
			}
		}
	}
	for name, least := range map[string]int{"invoke-api.md": 50, "async-api.md": 35} {
		doc, err := os.ReadFile("../../docs/semantics/" + name)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile(`\bTest\w+`).FindAllString(string(doc), -1)
		if len(named) < least {
			t.Errorf("%s: got %d tests named, want every line to name one", name, len(named))
		}
		for _, n := range named {
			if !tests[n] {
				t.Errorf("%s: %s does not exist", name, n)
			}
		}
	}
}
