package fault_test

import (
	"strings"
	"testing"

	"github.com/daruma-io/daruma/fault"
)

func TestDocumentsOfLibrariesAreRead(t *testing.T) {
	for name, c := range map[string]struct{ document, want string }{
		"failure-lambda 0.x latency":    {`{"isEnabled":true,"failureMode":"latency","rate":0.5,"minLatency":100,"maxLatency":400,"exceptionMsg":"x","statusCode":404,"diskSpace":100,"denylist":["s3.*.amazonaws.com"]}`, "latency of 100ms to 400ms on F, 50%"},
		"failure-lambda 0.x at least 0": {`{"isEnabled":true,"failureMode":"latency","rate":1,"minLatency":0,"maxLatency":400}`, "latency of 0s to 400ms on F"},
		"failure-lambda 0.x exception":  {`{"isEnabled":true,"failureMode":"exception","rate":1,"exceptionMsg":"x"}`, "error Error on F"},
		"failure-lambda 0.x statuscode": {`{"isEnabled":true,"failureMode":"statuscode","rate":1,"statusCode":404}`, "status 404 on F"},
		"failure-lambda 0.x diskspace":  {`{"isEnabled":true,"failureMode":"diskspace","rate":1,"diskSpace":100}`, "disk on F"},
		"failure-lambda 0.x denylist":   {`{"isEnabled":true,"failureMode":"denylist","rate":1,"denylist":["a.*b","c"]}`, "refused on host /a.*b/ from F; refused on host /c/ from F"},
		"failure-lambda 0.2 blacklist":  {`{"isEnabled":true,"failureMode":"blacklist","rate":1,"blacklist":["c"]}`, "refused on host /c/ from F"},
		"failure-lambda 1.x": {`{"latency":{"enabled":true,"percentage":20,"min_latency":100,"max_latency":200,"match":[{"path":"a.b","operator":"startsWith","value":"x"}]},
			"timeout":{"enabled":true},"exception":{"enabled":false},"denylist":{"enabled":true,"deny_list":["db"]},"corruption":{"enabled":true,"body":"?"}}`,
			"latency of 100ms to 200ms on F, 20%; timeout on F; dns on host /db/ from F; corrupt on F"},
		"failure-lambda 1.x in a profile": {`{"version":"1","flags":{"statuscode":{"name":"statuscode"}},"values":{"statuscode":{"enabled":true,"status_code":418}}}`, "status 418 on F"},
		"chaos-lambda":                    {`{"fault_type":"latency","is_enabled":true,"error_code":404,"exception_msg":"x","rate":1,"delay":400}`, "latency of 400ms on F"},
		"chaos-lambda status":             {`{"fault_type":"status_code","is_enabled":true,"error_code":404,"rate":1}`, "status 404 on F"},
	} {
		all, err := fault.Read([]byte(c.document), "F")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, f := range all {
			got = append(got, f.String())
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: got %s, want %s", name, text, c.want)
		}
	}
}

func TestWhatDocumentsOfLibrariesCannotHaveIsRefused(t *testing.T) {
	for document, want := range map[string]string{
		`{"isEnabled":false,"failureMode":"latency","rate":1}`:                                       "switched off",
		`{"isEnabled":true,"failureMode":"latency","rate":0}`:                                        "switched off",
		`{"isEnabled":true,"failureMode":"meteor","rate":1}`:                                         "failureMode",
		`{"isEnabled":true,"failureMode":"latency","rate":1,"colour":1}`:                             "colour",
		`{"isEnabled":true,"failureMode":"denylist","rate":1,"denylist":["("]}`:                      "denylist",
		`{"timeout":{"enabled":true,"timeout_buffer_ms":500}}`:                                       "timeout_buffer_ms",
		`{"denylist":{"enabled":true,"deny_list":["a"],"match":[{"path":"a"}]}}`:                     "match",
		`{"values":{"latency":{"enabled":true},"meteor":{"enabled":true}},"flags":{}}`:               "meteor",
		`{"isEnabled":true,"delay":400,"error_code":404,"exception_msg":"x","file_size":1,"rate":1}`: "2019",
		`{"kind":"kill","target":{"function":"G"}}`:                                                  "names its own target",
	} {
		if _, err := fault.Read([]byte(document), "F"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", document, err, want)
		}
	}
	if _, err := fault.Read([]byte(`{"isEnabled":true,"failureMode":"latency","rate":1}`), ""); err == nil || !strings.Contains(err.Error(), "name a function") {
		t.Errorf("without a function: got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"isEnabled":true,"failureMode":"denylist","rate":1,"denylist":["a.*b"]}`))
	f.Add([]byte(`{"latency":{"enabled":true,"percentage":20,"min_latency":100,"max_latency":200}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		all, err := fault.Read(document, "F")
		if err != nil {
			return
		}
		for _, one := range all {
			if err := one.Validate(); err != nil {
				t.Errorf("%s: what was read is not valid: %v", document, err)
			}
		}
	})
}
