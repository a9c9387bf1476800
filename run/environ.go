package run

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
)

// javaOptions is where Java machines find options. Functions that set it to
// start faster need what services tell there all the same.
const javaOptions = "JAVA_TOOL_OPTIONS"

// environ returns the variables of a runtime and of extensions: the runtime's
// defaults, what services tell, the function's own, and what is reserved;
// later wins, but for Java's options, which are put together.
func environ(e *Environment, cmd Command, api string) (runtime, extension []string) {
	f, place := e.function, e.pool.cfg.View().Place
	vars := map[string]string{
		"TZ": ":UTC", "LANG": "en_US.UTF-8", "PWD": cmd.Dir,
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
		"_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1", "_AWS_XRAY_DAEMON_PORT": "2000",
	}
	add := func(list []string) {
		for _, v := range list {
			if name, value, ok := strings.Cut(v, "="); ok {
				vars[name] = value
			} else {
				delete(vars, name)
			}
		}
	}
	add(cmd.Env)
	add(e.services.env)
	for name, value := range f.Env {
		if catalog.ReservedVariable(name) {
			continue
		}
		if services := vars[name]; name == javaOptions && services != "" {
			value = services + " " + value // of options that are given twice, Java takes the last
		}
		vars[name] = value
	}
	maps.Copy(vars, map[string]string{
		"_HANDLER": f.Handler, "AWS_REGION": place.Region, "AWS_DEFAULT_REGION": place.Region,
		"AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": f.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      logStream(f, e.record.Started, e.record.ID),
		"AWS_LAMBDA_RUNTIME_API":          api,
		"LAMBDA_TASK_ROOT":                e.place.Path("/var/task"),
		"LAMBDA_RUNTIME_DIR":              e.place.Path("/var/runtime"),
	})
	delete(vars, "AWS_EXECUTION_ENV")
	if !strings.HasPrefix(f.Runtime, "provided") && f.Runtime != "" {
		vars["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + f.Runtime
	}
	if f.LogFormat == "JSON" {
		vars["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
		if f.LogLevel != "" {
			vars["AWS_LAMBDA_LOG_LEVEL"] = f.LogLevel
		}
	}
	add(e.pool.cfg.Credentials(f))
	add(e.pool.cfg.Environ(f, e.record.ID))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		v := name + "=" + vars[name]
		runtime = append(runtime, v)
		if !hidden(name) {
			extension = append(extension, v)
		}
	}
	return runtime, extension
}

// hidden says whether external extensions do not get the variable.
func hidden(name string) bool {
	switch name {
	case "AWS_EXECUTION_ENV", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT":
		return true
	}
	return strings.HasPrefix(name, "_") || strings.HasPrefix(name, "AWS_LAMBDA_LOG_") || strings.HasPrefix(name, "AWS_XRAY_")
}

// logStream names an environment's log stream: YYYY/MM/DD/[version]hex32.
func logStream(f *catalog.Function, at time.Time, id string) string {
	return at.UTC().Format("2006/01/02") + "/[" + f.Version + "]" + strings.ReplaceAll(id, "-", "")
}

// versionOf makes a runtime's version text of its id: "nodejs22.x" gives "nodejs:22.x".
func versionOf(runtime string) string {
	if i := strings.IndexAny(runtime, "0123456789"); i > 0 && !strings.HasPrefix(runtime, "provided") {
		return runtime[:i] + ":" + runtime[i:]
	}
	return strings.Replace(runtime, ".", ":", 1)
}
