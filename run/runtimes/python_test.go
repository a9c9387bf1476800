package runtimes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
)

const (
	python311 = "python3.11"
	python312 = "python3.12"
)

func python(t testing.TB, runtime, source string) *catalog.Function {
	return function(t, runtime, "app.handler", map[string]string{"app.py": source})
}

func TestAPythonHandlerAnswersWithWhatItReturns(t *testing.T) {
	for name, c := range map[string]struct{ runtime, source, want string }{
		"event":        {python311, "def handler(e, c): return {'got': e['a']}", `{"got": 1}`},
		"nothing":      {python311, "def handler(e, c): pass", `null`},
		"text, 3.11":   {python311, "def handler(e, c): return 'é'", `"\u00e9"`},
		"text, 3.12":   {python312, "def handler(e, c): return 'é😀'", `"é😀"`},
		"decimal":      {python312, "from decimal import Decimal as D\ndef handler(e, c): return [D('1.10'), {'n': D('NaN')}, 'decimal:1']", `[1.10, {"n": NaN}, "decimal:1"]`},
		"bytes inside": {python312, "def handler(e, c): return {'b': b'x', b'k': 1}", `{"b": "x", "k": 1}`},
		"named tuple":  {python312, "import collections\nP = collections.namedtuple('P', 'x y')\ndef handler(e, c): return [P(1, P(2, (3,)))]", `[{"x": 1, "y": {"x": 2, "y": [3]}}]`},
		"tuple":        {python312, "def handler(e, c): return (1, None, True, 1.5)", `[1, null, true, 1.5]`},
		"callable":     {python312, "class H:\n  def __call__(self, e, c): return 'called'\nhandler = H()", `"called"`},
		"subclasses":   {python312, "import collections, enum\nclass E(enum.IntEnum): A = 1\ndef handler(e, c): return collections.OrderedDict(a=[E.A], b=collections.defaultdict(int, c=2))", `{"a": [1], "b": {"c": 2}}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, python(t, c.runtime, c.source))
			p.invoke(`{"a":1}`).want(t, "response", c.want)
			p.invoke(`{"a":1}`).want(t, "response", c.want)
		})
	}
	t.Run("bytes", func(t *testing.T) {
		a := start(t, python(t, python311, "def handler(e, c): return b'\\x00raw'")).invoke(`{}`)
		a.want(t, "response", "\x00raw")
		if got := a.header.Get("Content-Type"); got != "application/unknown" {
			t.Errorf("got content type %q, want application/unknown", got)
		}
	})
}

func TestAPythonHandlerIsFoundAsLambdaFindsIt(t *testing.T) {
	source := "def handler(e, c): return 'found'"
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
	}{
		"module":         {"app.handler", map[string]string{"app.py": source}},
		"slashes":        {"src/api/app.handler", map[string]string{"src/api/app.py": source}},
		"dots":           {"src.api.app.handler", map[string]string{"src/api/app.py": source}},
		"package":        {"pkg.handler", map[string]string{"pkg/__init__.py": "from .inner import handler", "pkg/inner.py": source}},
		"own before std": {"app.handler", map[string]string{"app.py": "import queue_own\nfrom calendar import handler", "queue_own.py": "", "calendar.py": source}},
		"not like ours":  {"app.handler", map[string]string{"app.py": "from bootstrap import handler", "bootstrap.py": source}},
	} {
		t.Run(name, func(t *testing.T) {
			start(t, function(t, python311, c.handler, c.files)).invoke(`{}`).want(t, "response", `"found"`)
		})
	}
}

func TestAPythonFunctionThatCannotStartSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ handler, source, errorType, message, log string }{
		"missing module":   {"app.handler", "import nowhere", "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'nowhere'", "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'nowhere'\nTraceback (most recent call last):\n"},
		"missing file":     {"other.handler", "", "Runtime.ImportModuleError", "Unable to import module 'other': No module named 'other'", ""},
		"missing function": {"app.nobody", "", "Runtime.HandlerNotFound", "Handler 'nobody' missing on module 'app'", ""},
		"syntax":           {"app.handler", "def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': invalid syntax (app.py, line 1)", "\u00a0\u00a0File \""},
		"no dot":           {"app", "", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack (expected 2, got 1)", ""},
		"built in":         {"sys.exit", "", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module", ""},
		"raised":           {"app.handler", "raise ValueError('at load')", "ValueError", "at load", "[ERROR] ValueError: at load"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, function(t, python311, c.handler, map[string]string{"app.py": c.source}))
			f := p.answered().failed(t, "init/error", c.errorType, c.message)
			if f.RequestID == nil || *f.RequestID != "" || f.StackTrace == nil {
				t.Errorf("got request ID %v and stack trace %v, want an empty ID and a list", f.RequestID, f.StackTrace)
			}
			if got := p.exit(); got != 1 {
				t.Errorf("got exit code %d, want 1", got)
			}
			contains(t, p.log(), c.log)
		})
	}
}

func TestAPythonErrorIsToldAsLambdaTellsIt(t *testing.T) {
	p := start(t, python(t, python311, "class Mine(Exception): pass\ndef inner():\n    raise Mine('n\u00f6')\ndef handler(e, c):\n    inner()"))
	a := p.invoke(`{}`)
	f := a.failed(t, "error", "Mine", "nö")
	if f.RequestID == nil || *f.RequestID != a.id {
		t.Errorf("got request ID %v, want %s", f.RequestID, a.id)
	}
	if len(f.StackTrace) != 2 || !strings.Contains(f.StackTrace[0], "in handler\n    inner()\n") || !strings.Contains(f.StackTrace[1], "in inner\n    raise Mine('nö')\n") {
		t.Errorf("got stack trace %q, want the function's own frames", f.StackTrace)
	}
	if !strings.HasPrefix(a.body, `{"errorMessage": "n\u00f6", "errorType": "Mine", "requestId": "`) {
		t.Errorf("got %s, want the fields in AWS's order", a.body)
	}
	want := `^\[ERROR\] Mine: nö\nTraceback \(most recent call last\):\n\x{a0}\x{a0}File "[^"]*app.py", line 5, in handler\n\x{a0}{4}inner\(\)\n\x{a0}\x{a0}File "[^"]*app.py", line 3, in inner\n\x{a0}{4}raise Mine\('nö'\)\n$`
	if got := p.log(); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got log %q, want %q", got, want)
	}
	p.invoke(`{}`).failed(t, "error", "Mine", "nö") // the process lives on
}

func TestAPythonResultThatIsNoJSONIsAMarshalError(t *testing.T) {
	for name, c := range map[string]struct{ source, message string }{
		"object":   {"import datetime\ndef handler(e, c): return datetime.datetime.now()", "Unable to marshal response: Object of type datetime is not JSON serializable"},
		"set":      {"def handler(e, c): return {1}", "Unable to marshal response: Object of type set is not JSON serializable"},
		"key":      {"def handler(e, c): return {(1,): 1}", "Unable to marshal response: keys must be str, int, float, bool or None, not tuple"},
		"circular": {"def handler(e, c):\n    a = []; a += [a, a, a]; return a", "Unable to marshal response: Circular reference detected"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, python(t, python312, c.source)).invoke(`{}`).failed(t, "error", "Runtime.MarshalError", c.message)
			if len(f.StackTrace) != 0 {
				t.Errorf("got stack trace %q, want none", f.StackTrace)
			}
		})
	}
	start(t, python(t, python312, "def handler(e, c): return e")).invoke(`{`).failed(t, "error", "Runtime.UnmarshalError", "Unable to unmarshal input: ")
}

func TestAPythonHandlerThatExitsEndsTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		code   int
	}{
		"sys.exit": {"import sys\ndef handler(e, c): sys.exit(3)", 3},
		"exit":     {"def handler(e, c): exit(4)", 4},
		"os._exit": {"import os\ndef handler(e, c):\n    print('last words')\n    print('and half a line', end='')\n    os._exit(5)", 5},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, python(t, python311, c.source))
			p.send(event{body: `{}`})
			if got := p.exit(); got != c.code {
				t.Errorf("got exit code %d, want %d", got, c.code)
			}
			if name == "os._exit" {
				contains(t, p.log(), "last words\nand half a line")
			}
			select {
			case a := <-p.answers:
				t.Errorf("got %s %s, want no answer", a.kind, a.body)
			default:
			}
		})
	}
}

func TestAPythonContextSaysEverything(t *testing.T) {
	p := start(t, python(t, python311, `
import os
def handler(e, c):
    left = c.get_remaining_time_in_millis()
    names = ['aws_request_id', 'function_name', 'function_version', 'memory_limit_in_mb', 'log_group_name', 'log_stream_name', 'invoked_function_arn', 'tenant_id']
    cc = c.client_context
    return [[getattr(c, n) for n in names], cc and [cc.custom, cc.env, cc.client.app_title, cc.client.installation_id], c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id, 20000 < left <= 30000, os.environ.get('_X_AMZN_TRACE_ID')]`))
	p.send(event{id: "id-1", body: `{}`, header: map[string]string{
		"Lambda-Runtime-Client-Context": `{"custom":{"k":"vé"},"client":{"app_title":"t"}}`, "Lambda-Runtime-Cognito-Identity": `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`, "Lambda-Runtime-Aws-Tenant-Id": "blue",
	}})
	p.answered().want(t, "response", `[["id-1", "f", "$LATEST", "512", "/aws/lambda/f", "2026/01/02/[$LATEST]00", "arn:aws:lambda:us-east-1:000000000000:function:f", "blue"], [{"k": "v\u00e9"}, null, "t", null], "i", "p", true, "Root=1-id-1;Parent=0;Sampled=1"]`)
	p.send(event{id: "id-2", body: `{}`, header: map[string]string{"Lambda-Runtime-Trace-Id": ""}})
	p.answered().want(t, "response", `[["id-2", "f", "$LATEST", "512", "/aws/lambda/f", "2026/01/02/[$LATEST]00", "arn:aws:lambda:us-east-1:000000000000:function:f", null], null, null, null, true, null]`)
	p.send(event{id: "id-3", body: `{}`, header: map[string]string{"Lambda-Runtime-Client-Context": `{`}})
	p.answered().failed(t, "error", "Runtime.LambdaContextUnmarshalError", "Unable to parse Client Context JSON: ")
}

func TestAPythonContextShowsWhatItHolds(t *testing.T) {
	p := start(t, python(t, python311, "def handler(e, c): return sorted(vars(c))"))
	p.send(event{body: `{}`})
	p.answered().want(t, "response", `["_epoch_deadline_time_in_ms", "aws_request_id", "client_context", "function_name", "function_version", "identity", "invoked_function_arn", "log_group_name", "log_stream_name", "memory_limit_in_mb", "tenant_id"]`)
}

func TestAPythonHandlerImportsTheClassOfItsContext(t *testing.T) {
	const source = "from awslambdaric.lambda_context import ClientContext, CognitoIdentity, LambdaContext\ndef handler(e, c: LambdaContext): return [isinstance(c, LambdaContext), isinstance(c.identity, CognitoIdentity)]"
	start(t, python(t, python311, source)).invoke(`{}`).want(t, "response", `[true, true]`)
	start(t, function(t, python311, "app.handler", map[string]string{"app.py": source, "awslambdaric/__init__.py": "", "awslambdaric/lambda_context.py": "ClientContext = CognitoIdentity = LambdaContext = str"})).invoke(`{}`).want(t, "response", `[false, false]`)
}

func TestAPythonEventOfAnySizeArrivesWhole(t *testing.T) {
	p := start(t, python(t, python312, "def handler(e, c): return e"))
	for _, size := range []int{1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			body := `"` + strings.Repeat("é€😀", size/9+1) + `"`
			p.send(event{body: body, chunked: chunked})
			if a := p.answered(); a.body != body {
				t.Errorf("%d bytes (chunked %v): got %d bytes back, want the same %d", size, chunked, len(a.body), len(body))
			}
		}
	}
}

func TestPythonLogsLookLikeLambdas(t *testing.T) {
	p := start(t, python(t, python311, `
import logging, sys
logging.basicConfig(level='DEBUG')  # does nothing: the root logger has its handler
log = logging.getLogger()
log.setLevel('INFO')
log.info('at load')
def handler(e, c):
    print('printed', 'é')
    print('to stderr', file=sys.stderr)
    log.info('told %d', 1)
    log.debug('hidden')
    c.log('raw\n')
    print('no end of line', end='')`))
	p.invoke(`{}`)
	stamp := `\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t`
	want := `^\[INFO\]` + stamp + `\tat load\nprinted é\nto stderr\n\[INFO\]` + stamp + `00000000-0000-4000-8000-000000000001\ttold 1\nraw\nno end of line$`
	if got := p.log(); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAPythonLogMayBeJSON(t *testing.T) {
	p := start(t, python(t, python311, `
import logging
log = logging.getLogger('mine')
def handler(e, c):
    log.debug('shown')
    log.warning({'k': 1}, extra={'order': 7, 'odd': object})
    try: 1 / 0
    except ZeroDivisionError: log.exception('why')
    raise KeyError('k')`), "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=TRACE")
	p.invoke(`{}`)
	lines := strings.Split(strings.TrimSpace(p.log()), "\n")
	want := []string{
		`"level": "DEBUG", "message": "shown", "logger": "mine", "requestId": "00000000-0000-4000-8000-000000000001"}`,
		`"level": "WARNING", "message": "{'k': 1}", "logger": "mine", "requestId": "00000000-0000-4000-8000-000000000001", "order": 7, "odd": "<class 'object'>"}`,
		`"errorType": "ZeroDivisionError", "errorMessage": "division by zero"`,
		`"log_level": "ERROR", "errorMessage": "'k'", "errorType": "KeyError", "requestId": "00000000-0000-4000-8000-000000000001", "stackTrace": [`,
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines %q, want %d", len(lines), lines, len(want))
	}
	for i := range want {
		contains(t, lines[i], want[i])
	}
	contains(t, lines[2], `"location": "`)
	if !regexp.MustCompile(`^\{"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "log_level"`).MatchString(lines[3]) {
		t.Errorf("got %s, want it to begin with time and level", lines[3])
	}
}

func TestPythonPackagesAreFoundInLayersAndNowhereElse(t *testing.T) {
	layer := buildtest.Write(t, map[string]string{"python/dep.py": "v = 'layer'", "python/lib/python3.11/site-packages/deep.py": "v = 'deep'", "python/own.py": "v = 'layer'"})
	f := function(t, python311, "app.handler", map[string]string{"own.py": "v = 'own'", "app.py": `
import dep, deep, own, sys, os
def handler(e, c):
    try:
        import pip
        host = 'the host'
    except ImportError:
        host = 'nothing'
    return [dep.v, deep.v, own.v, host, sys.path[0] == os.environ['LAMBDA_TASK_ROOT'], '_DARUMA_OPT' in os.environ, __name__]`})
	f.Layers = []catalog.Layer{{Code: catalog.Code{Dir: layer}}}
	start(t, f).invoke(`{}`).want(t, "response", `["layer", "deep", "own", "nothing", true, false, "app"]`)
	if _, err := os.Stat(filepath.Join(f.Code.Dir, "__pycache__")); err == nil {
		t.Error("got __pycache__ in the code directory, want it unchanged")
	}
}

func TestEveryPythonOnThisMachineRunsTheBootstrap(t *testing.T) {
	for _, minor := range []string{"7", "8", "9", "10", "11", "12", "13", "14"} {
		t.Run("3."+minor, func(t *testing.T) {
			p := start(t, python(t, "python3."+minor, "import logging, sys\nlogging.getLogger().setLevel('INFO')\ndef handler(e, c):\n    logging.info('here')\n    print(sys.version)\n    return e"))
			p.invoke(`{"a":[1]}`).want(t, "response", `{"a": [1]}`)
			t.Log(p.log())
		})
	}
}

func TestAPythonProcessOutlivesAClosedConnection(t *testing.T) {
	p := start(t, python(t, python311, "def handler(e, c): return e"))
	p.invoke(`1`).want(t, "response", `1`)
	p.hangUp(2)
	p.invoke(`2`).want(t, "response", `2`)
}
