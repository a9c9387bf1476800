package egress

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheSemanticsTableNamesTestsThatExist(t *testing.T) {
	table, err := os.ReadFile("../../docs/semantics/network.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "trust/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(b)
		}
	}
	names := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(string(table), -1)
	if len(names) < 40 {
		t.Errorf("got %d tests named, want every line's", len(names))
	}
	for _, n := range names {
		if !strings.Contains(sources.String(), "func "+n+"(") {
			t.Errorf("%s is named and does not exist", n)
		}
	}
}

func TestTheVariablesNameTheFilesAFunctionSees(t *testing.T) {
	if got, want := Environ("http://127.0.0.1:4566", ""), []string{"AWS_ENDPOINT_URL=http://127.0.0.1:4566"}; !slices.Equal(got, want) {
		t.Errorf("got %q for plain processes, want %q", got, want)
	}
	want := []string{
		"AWS_ENDPOINT_URL=http://127.0.0.1:4566",
		"SSL_CERT_FILE=/t/bundle.pem",
		"AWS_CA_BUNDLE=/t/bundle.pem",
		"REQUESTS_CA_BUNDLE=/t/bundle.pem",
		"CURL_CA_BUNDLE=/t/bundle.pem",
		"NODE_EXTRA_CA_CERTS=/t/ca.pem",
		"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/t/cacerts",
	}
	if got := Environ("http://127.0.0.1:4566", "/t"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
