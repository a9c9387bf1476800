package runtimes_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
)

// The contract follows the runtime's id, so both are tested on whatever Node.js is there.
const (
	node22 = "nodejs22.x"
	node24 = "nodejs24.x"
)

func node(t testing.TB, runtime, source string) *catalog.Function {
	return function(t, runtime, "index.handler", map[string]string{"index.js": source})
}

func TestANodeHandlerAnswersInEveryWayItMay(t *testing.T) {
	for name, c := range map[string]struct{ runtime, source, want string }{
		"async":                    {node22, `exports.handler = async (e) => ({ got: e.a })`, `{"got":1}`},
		"promise":                  {node22, `exports.handler = (e) => Promise.resolve(e.a)`, `1`},
		"thenable":                 {node22, `exports.handler = (e) => ({ then(ok) { ok('t') } })`, `"t"`},
		"async nothing":            {node22, `exports.handler = async () => {}`, `null`},
		"async function value":     {node22, `exports.handler = async () => (() => 1)`, `null`},
		"callback":                 {node22, `exports.handler = (e, c, cb) => cb(null, { got: e.a })`, `{"got":1}`},
		"late callback":            {node22, `exports.handler = (e, c, cb) => { setTimeout(() => cb(null, 'late'), 20) }`, `"late"`},
		"succeed":                  {node22, `exports.handler = (e, c) => c.succeed('s')`, `"s"`},
		"done":                     {node22, `exports.handler = (e, c) => c.done(null, 'd')`, `"d"`},
		"sync return is not used":  {node22, `exports.handler = () => 'lost'`, `null`},
		"never settled, idle loop": {node22, `exports.handler = () => new Promise(() => {})`, `null`},
		"16: never settled":        {"nodejs16.x", `exports.handler = async () => { await new Promise(() => {}) }`, `null`},
		"only the first callback":  {node22, `exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; cb(null, 1); cb(null, 2) }`, `1`},
		"24: async":                {node24, `exports.handler = async (e) => e.a`, `1`},
		"24: sync return is used":  {node24, `exports.handler = (e) => e.a`, `1`},
		"24: no done on context":   {node24, `exports.handler = async (e, c) => [typeof c.done, typeof c.callbackWaitsForEmptyEventLoop]`, `["undefined","undefined"]`},
		"24: default export":       {node24, `const m = {}; m.handler = async () => 'd'; module.exports = m`, `"d"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, node(t, c.runtime, c.source))
			p.invoke(`{"a":1}`).want(t, "response", c.want)
			p.invoke(`{"a":1}`).want(t, "response", c.want)
		})
	}
}

func TestANodeCallbackWaitsForTheEventLoopUnlessToldNotTo(t *testing.T) {
	source := `
let ticks = 0;
exports.handler = (e, c, cb) => {
  c.callbackWaitsForEmptyEventLoop = e.wait;
  ticks = 0;
  setTimeout(() => ticks++, 150);
  cb(null, 'at once');
};
exports.late = (e, c, cb) => { setTimeout(() => { result.done = true }, 150); const result = { done: false }; cb(null, result); };`
	f := node(t, node22, source)
	p := start(t, f)
	p.invoke(`{"wait":false}`).want(t, "response", `"at once"`)
	f.Handler = "index.late"
	start(t, f).invoke(`{}`).want(t, "response", `{"done":true}`)
}

func TestANodeHandlerIsFoundAsLambdaFindsIt(t *testing.T) {
	cjs, esm := `exports.handler = async () => 'cjs'`, `export const handler = async () => 'esm'`
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		want    string
	}{
		"js":               {"index.handler", map[string]string{"index.js": cjs}, `"cjs"`},
		"cjs":              {"index.handler", map[string]string{"index.cjs": cjs}, `"cjs"`},
		"mjs":              {"index.handler", map[string]string{"index.mjs": esm}, `"esm"`},
		"module type":      {"index.handler", map[string]string{"index.js": esm, "package.json": `{"type":"module"}`}, `"esm"`},
		"module type up":   {"src/a/index.handler", map[string]string{"src/a/index.js": esm, "package.json": `{"type":"module"}`}, `"esm"`},
		"nearest type":     {"src/index.handler", map[string]string{"src/index.js": cjs, "src/package.json": `{}`, "package.json": `{"type":"module"}`}, `"cjs"`},
		"js before mjs":    {"index.handler", map[string]string{"index.js": cjs, "index.mjs": esm}, `"cjs"`},
		"directory":        {"src/api/index.handler", map[string]string{"src/api/index.js": cjs}, `"cjs"`},
		"nested export":    {"index.a.b", map[string]string{"index.js": `exports.a = { b: async () => 'nested' }`}, `"nested"`},
		"folder":           {"app.handler", map[string]string{"app/index.js": cjs}, `"cjs"`},
		"package":          {"pkg.handler", map[string]string{"node_modules/pkg/index.js": cjs}, `"cjs"`},
		"top-level await":  {"index.handler", map[string]string{"index.mjs": `const v = await Promise.resolve('tla'); export const handler = async () => v`}, `"tla"`},
		"typeless TS name": {"index.lambdaHandler", map[string]string{"index.js": `exports.lambdaHandler = async () => 1`}, `1`},
	} {
		t.Run(name, func(t *testing.T) {
			start(t, function(t, node22, c.handler, c.files)).invoke(`{}`).want(t, "response", c.want)
			if name == "js before mjs" || strings.HasSuffix(c.want, `"esm"`) {
				start(t, function(t, node24, c.handler, c.files)).invoke(`{}`).want(t, "response", c.want)
			}
		})
	}
}

func TestANodeFunctionThatCannotStartSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		runtime, handler, source string
		errorType, message       string
		code                     int
	}{
		"missing module":    {node22, "index.handler", `require('nowhere')`, "Runtime.ImportModuleError", "Error: Cannot find module 'nowhere'", 129},
		"missing file":      {node22, "other.handler", ``, "Runtime.ImportModuleError", "Error: Cannot find module 'other'", 129},
		"missing export":    {node22, "index.handler", `exports.other = 1`, "Runtime.HandlerNotFound", "index.handler is undefined or not exported", 129},
		"not a function":    {node22, "index.handler", `exports.handler = 1`, "Runtime.HandlerNotFound", "index.handler is not a function", 129},
		"syntax":            {node22, "index.handler", `exports.handler = (`, "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input", 129},
		"no dot":            {node22, "index", ``, "Runtime.MalformedHandlerName", "Bad handler", 129},
		"above the root":    {node22, "../index.handler", ``, "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name.", 129},
		"thrown":            {node22, "index.handler", `throw new TypeError('at load')`, "TypeError", "at load", 129},
		"callback in 24":    {node24, "index.handler", `exports.handler = (e, c, cb) => cb()`, "Runtime.CallbackHandlerDeprecated", "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24.", 129},
		"unmarked streamer": {node22, "index.handler", `exports.handler = () => {}; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request'`, "Runtime.MalformedStreamingHandler", "Only response streaming is supported.", 129},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, function(t, c.runtime, c.handler, map[string]string{"index.js": c.source}))
			f := p.answered().failed(t, "init/error", c.errorType, c.message)
			if len(f.Trace) == 0 || !strings.HasPrefix(f.Trace[0], c.errorType) {
				t.Errorf("got trace %q, want it to begin with the type", f.Trace)
			}
			if got := p.exit(); got != c.code {
				t.Errorf("got exit code %d, want %d", got, c.code)
			}
			contains(t, p.log(), `"errorType":"`+c.errorType+`"`)
		})
	}
}

func TestANodeErrorIsToldAsLambdaTellsIt(t *testing.T) {
	for name, c := range map[string]struct{ runtime, source, errorType, message, log string }{
		"rejected":         {node22, `exports.handler = async () => { throw new RangeError('no') }`, "RangeError", "no", "ERROR\tInvoke Error \t{\"errorType\":\"RangeError\",\"errorMessage\":\"no\",\"stack\":[\"RangeError: no\""},
		"thrown":           {node22, `exports.handler = () => { throw new Error('sync') }`, "Error", "sync", "sync"},
		"callback":         {node22, `exports.handler = (e, c, cb) => cb(new Error('cb'))`, "Error", "cb", "cb"},
		"callback, string": {node22, `exports.handler = (e, c, cb) => cb('text')`, "string", "text", "text"},
		"fail":             {node22, `exports.handler = (e, c) => c.fail(new Error('f'))`, "Error", "f", "f"},
		"fail, nothing":    {node22, `exports.handler = (e, c) => c.fail()`, "string", "handled", "handled"},
		"own class":        {node22, `class Mine extends Error { constructor(m) { super(m); this.name = 'Mine'; this.code = 'X' } } exports.handler = async () => { throw new Mine('é') }`, "Mine", "é", `"code":"X"`},
		"circular":         {node22, `exports.handler = async () => { const a = {}; a.a = a; return a }`, "Error", "Unable to stringify response body", "stringify"},
		"circular, cb":     {node22, `exports.handler = (e, c, cb) => { const a = {}; a.a = a; cb(null, a) }`, "Error", "Unable to stringify response body", "stringify"},
		"bigint":           {node22, `exports.handler = async () => 1n`, "Error", "Unable to stringify response body", "stringify"},
		"unsettled":        {node22, `exports.handler = async () => { await new Promise(() => {}) }`, "Runtime.NodeJsExit", "The Lambda runtime client detected an unexpected Node.js exit code.", "ERROR\tInvoke Error \t{\"errorType\":\"Runtime.NodeJsExit\""},
		"24: unsettled":    {node24, `exports.handler = () => new Promise(() => {})`, "Runtime.NodeJsExit", "The Lambda runtime client detected an unexpected Node.js exit code.", "Invoke Error"},
		"24: rejected":     {node24, `exports.handler = async () => { throw new RangeError('no') }`, "RangeError", "no", "Invoke Error"},
		"24: thrown":       {node24, `exports.handler = () => { throw new Error('sync') }`, "Error", "sync", "Invoke Error"},
		"24: circular":     {node24, `exports.handler = async () => { const a = {}; a.a = a; return a }`, "Runtime.JSONStringifyError", "Unable to stringify response body", "stringify"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, node(t, c.runtime, c.source))
			a := p.invoke(`{}`)
			f := a.failed(t, "error", c.errorType, c.message)
			if f.RequestID != nil || strings.Contains(a.body, "stackTrace") {
				t.Errorf("got %s, want errorType, errorMessage and trace only", a.body)
			}
			contains(t, p.log(), c.log)
			p.invoke(`{}`).failed(t, "error", c.errorType, c.message) // the process lives on
		})
	}
}

func TestANodeProcessThatCrashesTellsWhyAndExits(t *testing.T) {
	for name, c := range map[string]struct {
		source, errorType, message string
		code                       int
	}{
		"uncaught":  {`exports.handler = () => new Promise(() => setTimeout(() => { throw new TypeError('astray') }, 1))`, "TypeError", "astray", 129},
		"unhandled": {`exports.handler = () => new Promise(() => { setTimeout(() => { Promise.reject(new Error('nobody')) }, 1) })`, "Runtime.UnhandledPromiseRejection", "Error: nobody", 128},
	} {
		for _, runtime := range []string{node22, node24} {
			t.Run(runtime+" "+name, func(t *testing.T) {
				p := start(t, node(t, runtime, c.source))
				p.invoke(`{}`).failed(t, "error", c.errorType, c.message)
				if got := p.exit(); got != c.code {
					t.Errorf("got exit code %d, want %d", got, c.code)
				}
			})
		}
	}
	t.Run("exit", func(t *testing.T) {
		p := start(t, node(t, node22, `exports.handler = async () => process.exit(7)`))
		p.send(event{body: `{}`})
		if got := p.exit(); got != 7 {
			t.Errorf("got exit code %d, want 7", got)
		}
	})
	t.Run("after the answer", func(t *testing.T) {
		p := start(t, node(t, node22, `exports.handler = async () => { setTimeout(() => { throw new Error('late') }, 1); return 1 }`))
		p.invoke(`{}`).want(t, "response", `1`)
		if got := p.exit(); got != 129 {
			t.Errorf("got exit code %d, want 129", got)
		}
	})
}

func TestANodeContextSaysEverything(t *testing.T) {
	p := start(t, node(t, node22, `exports.handler = async (e, c) => ({ ...JSON.parse(JSON.stringify(c)), left: c.getRemainingTimeInMillis() > 20000 && c.getRemainingTimeInMillis() <= 30000, trace: process.env._X_AMZN_TRACE_ID })`))
	p.send(event{id: "id-1", body: `{}`, header: map[string]string{
		"Lambda-Runtime-Client-Context": `{"custom":{"k":"vé"}}`, "Lambda-Runtime-Cognito-Identity": `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`, "Lambda-Runtime-Aws-Tenant-Id": "blue",
	}})
	p.answered().want(t, "response", `{"callbackWaitsForEmptyEventLoop":true,"functionVersion":"$LATEST","functionName":"f","memoryLimitInMB":"512","logGroupName":"/aws/lambda/f","logStreamName":"2026/01/02/[$LATEST]00","clientContext":{"custom":{"k":"vé"}},"identity":{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"},"invokedFunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:f","awsRequestId":"id-1","tenantId":"blue","left":true,"trace":"Root=1-id-1;Parent=0;Sampled=1"}`)
	p.send(event{id: "id-2", body: `{}`, header: map[string]string{"Lambda-Runtime-Trace-Id": ""}})
	if a := p.answered(); strings.Contains(a.body, "trace") || strings.Contains(a.body, "clientContext") {
		t.Errorf("got %s, want nothing left of the invocation before", a.body)
	}
	p.send(event{id: "id-3", body: `{}`, header: map[string]string{"Lambda-Runtime-Client-Context": `{`}})
	p.answered().failed(t, "error", "Error", "Cannot parse ClientContext as json: SyntaxError")
}

func TestANodeEventOfAnySizeArrivesWhole(t *testing.T) {
	p := start(t, node(t, node22, `exports.handler = async (e) => e`))
	for _, size := range []int{1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			body := `"` + strings.Repeat("é€😀", size/9+1) + `"` // characters of 2, 3 and 4 bytes, split wherever a read ends
			p.send(event{body: body, chunked: chunked})
			if a := p.answered(); a.body != body {
				t.Errorf("%d bytes (chunked %v): got %d bytes back, want the same %d", size, chunked, len(a.body), len(body))
			}
		}
	}
	p.invoke(`{`).failed(t, "error", "SyntaxError", "")
}

func TestANodeLogLineCarriesTimeRequestAndLevel(t *testing.T) {
	source := `console.log('at load'); exports.handler = async () => { console.log('a %d', 1, { b: 2 }); console.error('two\nlines'); console.debug('d'); console.warn('w'); console.trace('t'); console.info('i'); console.log() }`
	stamp := `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t`
	id := `00000000-0000-4000-8000-000000000001\t`
	p := start(t, node(t, node22, source))
	p.invoke(`{}`)
	want := `^` + stamp + `undefined\tINFO\tat load\n` + stamp + id + `INFO\ta 1 { b: 2 }\n` + stamp + id + `ERROR\ttwo\nlines\n` + stamp + id + `DEBUG\td\n` + stamp + id + `WARN\tw\n` + stamp + id + `TRACE\tt\n` + stamp + id + `INFO\ti\n` + stamp + id + `INFO\tundefined\n$`
	if got := p.log(); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestANodeLogMayBeJSON(t *testing.T) {
	source := `exports.handler = async () => { console.debug('hidden'); console.info('a %d', 1); console.warn({ k: 1 }); console.error('why', new TypeError('x')); console.error(new TypeError('y')); const c = {}; c.c = c; console.error(c) }`
	p := start(t, node(t, node22, source), "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO")
	p.invoke(`{}`)
	lines := strings.Split(strings.TrimSpace(p.log()), "\n")
	want := []string{
		`"level":"INFO","requestId":"00000000-0000-4000-8000-000000000001","message":"a 1"}`,
		`"level":"WARN","requestId":"00000000-0000-4000-8000-000000000001","message":{"k":1}}`,
		`"errorType":"TypeError","errorMessage":"x","stackTrace":["TypeError: x"`,
		`"message":{"errorType":"TypeError","errorMessage":"y","stackTrace":["TypeError: y"`,
		`[Circular *1]`,
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines %q, want %d", len(lines), lines, len(want))
	}
	for i := range want {
		contains(t, lines[i], want[i])
	}
}

func TestANodeHandlerMayStreamItsAnswer(t *testing.T) {
	p := start(t, node(t, node22, `exports.handler = awslambda.streamifyResponse(async (e, stream, c) => {
  if (e.http) stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' }, cookies: ['c=1'] });
  else stream.setContentType('text/plain');
  for (const part of e.parts) { stream.write(part); await new Promise((ok) => setTimeout(ok, 1)) }
  if (e.fail) throw new RangeError('mid');
  if (e.open) return;
  stream.end();
  await new Promise((ok) => stream.on('finish', ok));
})`))
	a := p.invoke(`{"parts":["a","é",{"k":1}]}`)
	a.want(t, "response", `aé{"k":1}`)
	if got := a.header.Get("Lambda-Runtime-Function-Response-Mode"); got != "streaming" {
		t.Errorf("got response mode %q, want streaming", got)
	}
	if got := a.header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("got content type %q, want text/plain", got)
	}
	a = p.invoke(`{"http":true,"parts":["body"]}`)
	a.want(t, "response", "{\"statusCode\":201,\"headers\":{\"a\":\"b\"},\"cookies\":[\"c=1\"]}\x00\x00\x00\x00\x00\x00\x00\x00body")
	if got := a.header.Get("Content-Type"); got != "application/vnd.awslambda.http-integration-response" {
		t.Errorf("got content type %q, want the integration's", got)
	}
	p.invoke(`{"http":true,"parts":[]}`).want(t, "response", "{\"statusCode\":201,\"headers\":{\"a\":\"b\"},\"cookies\":[\"c=1\"]}\x00\x00\x00\x00\x00\x00\x00\x00")
	a = p.invoke(`{"parts":["begun"],"fail":true}`)
	a.want(t, "response", "begun")
	if got := a.trailer.Get("Lambda-Runtime-Function-Error-Type"); got != "RangeError" {
		t.Errorf("got error type trailer %q, want RangeError", got)
	}
	body, err := base64.StdEncoding.DecodeString(a.trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil || !strings.Contains(string(body), `"errorMessage":"mid"`) {
		t.Errorf("got error body trailer %q (%v), want the error", body, err)
	}
	a = p.invoke(`{"parts":["left open"],"open":true}`)
	body, _ = base64.StdEncoding.DecodeString(a.trailer.Get("Lambda-Runtime-Function-Error-Body"))
	contains(t, string(body), "Response stream is not finished.")
	p.invoke(`{"parts":["again"]}`).want(t, "response", "again")
}

func TestALargeNodeStreamKeepsItsPace(t *testing.T) {
	p := start(t, node(t, node22, `const { pipeline } = require('stream/promises'); const { Readable } = require('stream');
exports.handler = awslambda.streamifyResponse(async (e, stream) => {
  const block = Buffer.alloc(100_000, 'x');
  await pipeline(Readable.from((function* () { for (let i = 0; i < 200; i++) yield block })()), stream);
})`))
	if a := p.invoke(`{}`); len(a.body) != 20_000_000 {
		t.Errorf("got %d bytes, want 20000000", len(a.body))
	}
}

func TestAStreamingNodeHandlerMustBeAsync(t *testing.T) {
	p := start(t, node(t, node22, `exports.handler = awslambda.streamifyResponse((e, stream) => { stream.write('x') })`))
	a := p.invoke(`{}`)
	body, _ := base64.StdEncoding.DecodeString(a.trailer.Get("Lambda-Runtime-Function-Error-Body"))
	contains(t, string(body), "Streaming does not support non-async handlers.")
}

func TestNodeModulesAreFoundInLayers(t *testing.T) {
	layer := buildtest.Write(t, map[string]string{"nodejs/node_modules/dep/index.js": `exports.v = 'layer'`, "nodejs/node_modules/dep/package.json": `{"main":"index.js"}`})
	for name, files := range map[string]map[string]string{
		"CommonJS":  {"index.js": `exports.handler = async () => require('dep').v`},
		"ES module": {"index.mjs": `import dep from 'dep'; export const handler = async () => dep.v`},
		"dynamic":   {"index.js": `exports.handler = async () => (await import('dep')).default.v`},
		"own first": {"index.mjs": `import dep from 'dep'; export const handler = async () => dep.v === 'own' ? 'layer' : dep.v`, "node_modules/dep/index.js": `exports.v = 'own'`},
	} {
		t.Run(name, func(t *testing.T) {
			f := function(t, node22, "index.handler", files)
			f.Layers = []catalog.Layer{{Code: catalog.Code{Dir: layer}}}
			start(t, f).invoke(`{}`).want(t, "response", `"layer"`)
		})
	}
}

func TestANodeProcessOutlivesAClosedConnection(t *testing.T) {
	p := start(t, node(t, node22, `exports.handler = async (e) => e`))
	p.invoke(`1`).want(t, "response", `1`)
	p.invoke(`1`).want(t, "response", `1`)
	p.hangUp(3)
	p.invoke(`2`).want(t, "response", `2`)
}

func TestANodeErrorNamesTheLineThatWasWritten(t *testing.T) {
	f := function(t, node22, "app.handler", map[string]string{
		"app.js":     "exports.handler=async()=>{throw new Error('mapped')};\n//# sourceMappingURL=app.js.map\n",
		"app.js.map": `{"version":3,"sources":["src/app.ts"],"sourcesContent":["\n\nexport const handler = async () => { throw new Error('mapped') }"],"names":[],"mappings":"AAEA,yBAAyB"}`,
	})
	contains(t, strings.Join(start(t, f).invoke(`{}`).failed(t, "error", "Error", "mapped").Trace, "\n"), "src/app.ts:3:")
}
