package run_test

import (
	"context"
	"encoding/json"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
)

// variables returns what a function is given.
func variables(t *testing.T, change func(*run.Config), f *catalog.Function) map[string]string {
	t.Helper()
	w := newWorld(t, change, f)
	var list []string
	if err := json.Unmarshal(w.run("").Payload, &list); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, v := range list {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	return vars
}

func TestAFunctionIsGivenTheVariablesThatAWSGives(t *testing.T) {
	f := function("environ")
	f.Runtime, f.MemoryMB = "nodejs22.x", 256
	f.Env = map[string]string{"MINE": "yes", "TZ": "Europe/Paris", "PATH": "/mine"}
	vars := variables(t, func(c *run.Config) {
		c.Credentials = func(*catalog.Function) []string {
			return []string{"AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s", "AWS_SESSION_TOKEN=t"}
		}
	}, f)
	for name, value := range map[string]string{
		"_HANDLER": "environ", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",
		"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
		"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t",
		"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"LANG": "en_US.UTF-8", "TZ": "Europe/Paris", "MINE": "yes", "PATH": "/mine", "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	} {
		if vars[name] != value {
			t.Errorf("%s: got %q, want %q", name, vars[name], value)
		}
	}
	if !regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(vars["AWS_LAMBDA_LOG_STREAM_NAME"]) {
		t.Errorf("got log stream %q", vars["AWS_LAMBDA_LOG_STREAM_NAME"])
	}
	for _, name := range []string{"_X_AMZN_TRACE_ID", "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"} {
		if v, there := vars[name]; there {
			t.Errorf("got %s=%s, want it absent", name, v)
		}
	}
}

func TestACustomRuntimeHasNoExecutionEnvironment(t *testing.T) {
	f := function("environ")
	f.LogFormat, f.LogLevel = "JSON", "DEBUG"
	f.Env = map[string]string{"AWS_EXECUTION_ENV": "mine", "AWS_REGION": "mars", "_HANDLER": "other"}
	vars := variables(t, nil, f)
	if v, there := vars["AWS_EXECUTION_ENV"]; there {
		t.Errorf("got AWS_EXECUTION_ENV=%s, want none", v)
	}
	if vars["AWS_REGION"] != "eu-west-1" || vars["_HANDLER"] != "environ" {
		t.Errorf("got region %q and handler %q: a function's own variables won over reserved ones", vars["AWS_REGION"], vars["_HANDLER"])
	}
	if vars["AWS_LAMBDA_LOG_FORMAT"] != "JSON" || vars["AWS_LAMBDA_LOG_LEVEL"] != "DEBUG" {
		t.Errorf("got format %q and level %q", vars["AWS_LAMBDA_LOG_FORMAT"], vars["AWS_LAMBDA_LOG_LEVEL"])
	}
}

func TestReservedVariablesAreKnown(t *testing.T) {
	want := []string{"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
		"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}
	if i := slices.IndexFunc(want, func(name string) bool { return !catalog.ReservedVariable(name) }); i >= 0 {
		t.Errorf("%s is not reserved", want[i])
	}
	for _, name := range []string{"PATH", "TZ", "AWS_LAMBDA_EXEC_WRAPPER", ""} {
		if catalog.ReservedVariable(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

func TestJavaOptionsOfAFunctionComeAfterThoseOfServices(t *testing.T) {
	f := function("environ")
	f.Env = map[string]string{"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
	service := func(c *run.Config) {
		c.Services = append(c.Services, run.Service{
			Address: "127.0.0.1:0",
			Env:     func(string) []string { return []string{"JAVA_TOOL_OPTIONS=-Dtrust=/t"} },
			Serve:   func(ctx context.Context, _ net.Listener, _ run.Ref) error { <-ctx.Done(); return nil },
		})
	}
	for _, c := range []struct {
		change func(*run.Config)
		want   string
	}{{service, "-Dtrust=/t -XX:TieredStopAtLevel=1"}, {func(*run.Config) {}, "-XX:TieredStopAtLevel=1"}} {
		if got := variables(t, c.change, f)["JAVA_TOOL_OPTIONS"]; got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	f.Env = nil
	if got := variables(t, service, f)["JAVA_TOOL_OPTIONS"]; got != "-Dtrust=/t" {
		t.Errorf("without the function's own: got %q, want the service's", got)
	}
}
