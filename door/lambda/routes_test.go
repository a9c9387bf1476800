package lambda

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"github.com/daruma-io/daruma/door/wire"
)

// operations returns the names of all operations the SDK's client has.
func operations() map[string]reflect.Method {
	out := map[string]reflect.Method{}
	for m := range reflect.TypeFor[*sdk.Client]().Methods() {
		if m.Type.NumIn() == 4 { // client, context, input, options
			out[m.Name] = m
		}
	}
	return out
}

// fill gives every field of a request a value, so that the SDK sends it.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth < 7 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.String:
		v.SetString("f")
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	}
}

func TestEveryOperationOfTheSDKIsServedOrRefusedByName(t *testing.T) {
	w := newWorld(t)
	ops := operations()
	if len(ops) < 85 {
		t.Fatalf("got %d operations from the SDK, want them all", len(ops))
	}
	served := 0
	for _, r := range routes() {
		m, ok := ops[r.op]
		if !ok {
			t.Errorf("%s is no operation of the SDK", r.op)
			continue
		}
		delete(ops, r.op)
		if r.serve != nil || r.stream != nil {
			served++
			continue
		}
		in := reflect.New(m.Type.In(2).Elem())
		fill(in.Elem(), 0)
		out := m.Func.Call([]reflect.Value{reflect.ValueOf(w.client), reflect.ValueOf(context.Background()), in})
		err, _ := out[1].Interface().(error)
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "UnsupportedOperationException" || !strings.HasPrefix(api.ErrorMessage(), r.op+" is not supported here") {
			t.Errorf("%s: got %v", r.op, err)
		}
	}
	for op := range ops {
		t.Errorf("%s has no route", op)
	}
	if served != 35 {
		t.Errorf("got %d served operations, want 35", served)
	}
}

// TestNoRouteAnswersWithoutAValidSignature walks the whole table.
func TestNoRouteAnswersWithoutAValidSignature(t *testing.T) {
	w := newWorld(t)
	for _, r := range routes() {
		path := strings.ReplaceAll(r.path, "{}", "f")
		if r.query != "" {
			path += "?" + r.query
		}
		for _, auth := range []string{"", "Bearer abc", "Basic YTpi", "AWS AKID:sig", "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260301/lambda/aws4_request, SignedHeaders=host, Signature=00",
			"AWS4-HMAC-SHA256 Credential=NOBODY/20260301/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)} {
			req := httptest.NewRequest(r.method, w.url+path, nil)
			req.RequestURI = ""
			if auth != "" {
				req.Header.Set("Authorization", auth)
				req.Header.Set("X-Amz-Date", "20260301T000000Z")
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 403 || resp.Header.Get("x-amzn-ErrorType") == "" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s with %q: got %d %v, want 403", r.method, path, auth, resp.StatusCode, resp.Header)
			}
		}
	}
	if w.runner.runs != 0 {
		t.Errorf("got %d runs", w.runner.runs)
	}
}

func TestASlashAtTheEndMakesNoDifference(t *testing.T) {
	w := newWorld(t)
	if resp, _ := w.send("GET", "/2015-03-31/functions/", ""); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func FuzzRouter(f *testing.F) {
	for _, r := range routes() {
		f.Add(r.method, strings.ReplaceAll(r.path, "{}", "a%3Ab"), r.query)
	}
	table := routes()
	f.Fuzz(func(t *testing.T, method, path, query string) {
		req := httptest.NewRequest("GET", "/", nil)
		req.Method, req.URL.RawQuery = method, query
		r := &wire.Request{HTTP: req, Path: path}
		route, args := match(table, r)
		if route != nil && (route.method != method || len(args) != strings.Count(route.path, "{}")) {
			t.Errorf("got %s with %q for %s %s", route.op, args, method, path)
		}
		if name, ok := invocation(r); ok && (route == nil || route.op != "Invoke" || args[0] != name) {
			t.Errorf("the fast way says Invoke of %q, the table %v %q for %s %s", name, route, args, method, path)
		}
	})
}

func FuzzFunctionName(f *testing.F) {
	for _, s := range []string{"f", "f:prod", "function:f", "000000000000:f:$LATEST", "us-east-1:000000000000:function:f", "arn:aws:lambda:us-east-1:000000000000:function:f:1", "arn:aws-us-gov:lambda:us-gov-west-1:000000000000:function:f", "a.b:$LATEST.PUBLISHED", ":", "f:", "arn:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		for _, s := range []*shape{&namespacedName, &functionName, &unqualifiedName} {
			ref, ok := s.parse(id)
			var v violations
			v.check(s, id, "functionName")
			if ok != (len(v) == 0) {
				t.Fatalf("%q: parse says %v, check %q", id, ok, v)
			}
			if !ok {
				continue
			}
			if ref.Function == "" || strings.ContainsAny(ref.Function, ":/ ") {
				t.Errorf("%q: got function %q", id, ref.Function)
			}
			if again, ok := s.parse(ref.String()); !ok || again.Target != ref.Target && ref.Function != "function" {
				t.Errorf("%q: got %+v, and from its own text %+v", id, ref, again)
			}
		}
	})
}
