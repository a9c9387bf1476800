package flags_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/door/flags"
)

func serve(t *testing.T, ask func(string, json.RawMessage) []flags.Experiment) (base string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- flags.Serve(ctx, ln, ask) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func TestAFlagIsAnsweredAsSDKsExpect(t *testing.T) {
	base := serve(t, func(flag string, labels json.RawMessage) []flags.Experiment {
		if flag != "pay" || !strings.Contains(string(labels), "vip") {
			return nil
		}
		return []flags.Experiment{{ID: "FT-1", Flag: flag, Rate: 1, Effect: json.RawMessage(`{"latency":300}`)}}
	})
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/experiment", `{"name":"pay","labels":{"vip":"yes"}}`, 200, `[{"guid":"FT-1","failureFlagName":"pay","rate":1,"effect":{"latency":300}}]`},
		{"POST", "/experiment", `{"name":"ship","labels":{"vip":"yes"}}`, 204, ""},
		{"POST", "/experiment", `{"name":"pay"}`, 204, ""},
		{"POST", "/experiment", `{"labels":{}}`, 400, "a name and labels are needed\n"},
		{"POST", "/experiment", `{`, 400, "a name and labels are needed\n"},
		{"POST", "/experiment", `{"name":"` + strings.Repeat("x", 70<<10) + `"}`, 400, "a name and labels are needed\n"},
		{"GET", "/experiment", ``, 404, "POST /experiment is what is answered here\n"},
	} {
		req, err := http.NewRequest(c.method, base+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.status || string(body) != c.answer {
			t.Errorf("%s %.60s: got %d %q, %v; want %d %q", c.path, c.body, res.StatusCode, body, err, c.status, c.answer)
		}
	}
}

func TestAnotherAddressIsTold(t *testing.T) {
	if got := flags.Environ(flags.Address); got != nil {
		t.Errorf("got %v, want nothing: SDKs know it", got)
	}
	if got := flags.Environ("127.0.0.1:40123"); len(got) != 1 || got[0] != "FAILURE_FLAGS_ENDPOINT=http://127.0.0.1:40123/experiment" {
		t.Errorf("got %v", got)
	}
}
