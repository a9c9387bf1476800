package lambda

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestEveryLineOfTheSemanticsTableNamesATestThatExists(t *testing.T) {
	doc, err := os.ReadFile("../../docs/semantics/invoke-api.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, dir := range []string{".", "../wire"} {
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
	named := regexp.MustCompile(`\bTest\w+`).FindAllString(string(doc), -1)
	if len(named) < 50 {
		t.Errorf("got %d tests named, want every line to name one", len(named))
	}
	for _, n := range named {
		if !tests[n] {
			t.Errorf("%s does not exist", n)
		}
	}
}
