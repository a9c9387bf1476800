package egress

import (
	"slices"
	"testing"
)

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
