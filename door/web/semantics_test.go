package web

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryLineOfTheSemanticsTablesNamesATestThatExists(t *testing.T) {
	doc, err := os.ReadFile("../../docs/semantics/http.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = true
		}
	}
	rows := 0
	for line := range strings.Lines(string(doc)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Line ") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSpace(line), " | ")
		named := regexp.MustCompile(`\bTest\w+`).FindAllString(cells[len(cells)-1], -1)
		if len(named) == 0 {
			t.Errorf("no test is named in: %s", line)
		}
		for _, n := range named {
			if !tests[n] {
				t.Errorf("%s does not exist", n)
			}
		}
	}
	if rows < 60 {
		t.Errorf("got %d lines, want at least 60", rows)
	}
}
