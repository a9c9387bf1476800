package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A client is a program that fetches a URL given as its last argument, with
// the roots that its language looks for.
type client struct {
	name  string
	needs []string // a command that succeeds where the client can run
	argv  []string
	file  string // written beside it: name and content, split by the first newline
}

var clients = []client{
	{name: "go", argv: []string{"/proc/self/exe"}},
	{name: "curl", needs: []string{"curl", "--version"}, argv: []string{"curl", "-sS"}},
	{name: "node", needs: []string{"node", "--version"}, argv: []string{"node", "-e", `
		require("https").get(process.argv[1], r => r.pipe(process.stdout)).on("error", e => { console.log(e); process.exitCode = 1 })`}},
	{name: "python", needs: []string{"python3", "-c", "import ssl"}, argv: []string{"python3", "-c", `
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())`}},
	{name: "python requests", needs: []string{"python3", "-c", "import requests"}, argv: []string{"python3", "-c", `
import sys, requests
print(requests.get(sys.argv[1]).text)`}},
	{name: "java", needs: []string{"java", "-version"}, argv: []string{"java", "Get.java"}, file: `Get.java
import java.net.*; import java.net.http.*;
public class Get { public static void main(String[] a) throws Exception {
	System.out.println(HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[0])).build(), HttpResponse.BodyHandlers.ofString()).body());
} }`},
}

// program returns the client's arguments, ready to run, or skips.
func (c client) program(t *testing.T) []string {
	t.Helper()
	if c.needs != nil {
		if out, err := exec.Command(c.needs[0], c.needs[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%s: %v: %s", strings.Join(c.needs, " "), err, out)
		}
	}
	argv := slices.Clone(c.argv)
	if argv[0] == "/proc/self/exe" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		argv[0] = exe
	}
	if c.file != "" {
		name, content, _ := strings.Cut(c.file, "\n")
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		argv[len(argv)-1] = path
	}
	return argv
}

// plain are the variables of a function that knows nothing of us.
func plain() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), roleVariable + "=get",
		"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=secret"}
}

// trusting are the variables we add, but for the endpoint: real names only.
func (p *place) trusting() []string {
	return append(plain(), Environ("http://127.0.0.1:4500", p.f.files.Dir)[1:]...)
}

func TestEveryRuntimeReachesTheCloudByItsRealNames(t *testing.T) {
	needWorld(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			argv := c.program(t)
			p := newFixture(t, nil).newPlace(t)
			for _, host := range []string{"sqs.eu-west-1.amazonaws.com", "bucket.with.dots.s3.amazonaws.com", "abc123.lambda-url.eu-west-1.on.aws", "a1b2.execute-api.eu-west-1.amazonaws.com", "ec2.eu-west-1.api.aws", "sqs.cn-north-1.amazonaws.com.cn"} {
				out, err := p.run(p.trusting(), append(argv, "https://"+host+"/path")...)
				if want := "GET " + host + "/path tls=true from env-1"; err != nil || !strings.Contains(out, want) {
					t.Errorf("got %v, %s, want %s", err, out, want)
				}
				if c.name == "java" {
					break // starts slowly
				}
			}
		})
	}
}

func TestARuntimeWithoutOurRootsDoesNotTrustUsAndIsToldWhy(t *testing.T) {
	needWorld(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			argv := c.program(t)
			f := newFixture(t, nil)
			p := f.newPlace(t)
			out, err := p.run(plain(), append(argv, "https://sqs.eu-west-1.amazonaws.com/path")...)
			if err == nil || strings.Contains(out, "from env-1") {
				t.Errorf("got %s, want an error of trust", out)
			}
			eventually(t, "the hint", func() bool { return strings.Contains(f.log.text(), "does not trust the platform's authority") })
		})
	}
}

func TestEveryRuntimeStillReachesOtherHostsAndSeesThemMissing(t *testing.T) {
	needWorld(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			argv := c.program(t)
			f := newFixture(t, nil)
			p := f.newPlace(t)
			s := newServer(t, "203.0.113.8:80", func(c *net.TCPConn) {
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil {
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\nfrom %s", 5+len(r.Host), r.Host)
				}
			})
			f.zone.set("api.example.", "A", "203.0.113.8")
			url := "http://api.example/"
			if c.name == "node" {
				argv[2] = strings.Replace(argv[2], `require("https")`, `require("http")`, 1)
			}
			out, err := p.run(p.trusting(), append(argv, url)...)
			if err != nil || !strings.Contains(out, "from api.example") || s.Accepted.Load() != 1 {
				t.Errorf("got %v, %s, want the other host's answer", err, out)
			}
			if out, err := p.run(p.trusting(), append(argv, "http://missing.example/")...); err == nil {
				t.Errorf("got %s, want no such host", out)
			}
		})
	}
}

// sdks print the status of one call.
var sdks = []struct {
	client
	host string
}{
	{client{name: "go", argv: []string{"/proc/self/exe"}}, "lambda.eu-west-1.amazonaws.com"},
	{client{name: "boto3", needs: []string{"python3", "-c", "import boto3"}, argv: []string{"python3", "-c", `
import boto3
print(boto3.client("lambda").list_functions()["ResponseMetadata"]["HTTPStatusCode"])`}}, "lambda.eu-west-1.amazonaws.com"},
	{client{name: "javascript", needs: []string{"node", "-e", `require("@aws-sdk/client-sqs")`}, argv: []string{"node", "-e", `
new (require("@aws-sdk/client-sqs").SQSClient)().send(new (require("@aws-sdk/client-sqs").ListQueuesCommand)({})).then(r => console.log(r.$metadata.httpStatusCode), e => { console.log(e); process.exitCode = 1 })`}}, "sqs.eu-west-1.amazonaws.com"},
}

func TestAnSDKWorksByRealNamesAndByTheEndpointVariable(t *testing.T) {
	needWorld(t)
	for _, s := range sdks {
		t.Run(s.name, func(t *testing.T) {
			argv := s.program(t)
			var mu sync.Mutex
			var hosts []string
			f := newFixture(t, func(cfg *Config) {
				cfg.Cloud = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					hosts = append(hosts, fmt.Sprint(r.Host, " ", r.TLS != nil))
					mu.Unlock()
					w.Header().Set("Content-Type", "application/x-amz-json-1.0")
					io.WriteString(w, "{}")
				})
			})
			p := f.newPlace(t)
			extra := []string{roleVariable + "=sdk", "NODE_PATH=" + os.Getenv("NODE_PATH")}
			for _, env := range [][]string{
				append(p.trusting(), extra...),
				append(append(plain(), Environ("http://127.0.0.1:4500", "")...), extra...),
			} {
				out, err := p.run(env, argv...)
				if err != nil || !strings.HasSuffix(strings.TrimSpace(out), "200") {
					t.Errorf("got %v, %s, want 200", err, out)
				}
			}
			if want := []string{s.host + " true", "127.0.0.1:4500 false"}; !slices.Equal(hosts, want) {
				t.Errorf("got requests for %q, want %q", hosts, want)
			}
		})
	}
}

// fetch asks for a URL from inside, with Go's client over connections dialled there.
func (p *place) fetch(c *tls.Config, dial func() (*net.TCPConn, error), http2 bool) (string, error) {
	conn, err := dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	tr := &http.Transport{Protocols: protocols, TLSClientConfig: c}
	defer tr.CloseIdleConnections()
	tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	res, err := (&http.Client{Transport: tr}).Get("https://" + c.ServerName + "/x")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func (f *fixture) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.cfg.Authority.Certificate())
	return pool
}

func TestTheCloudSpeaksBothVersionsOfHTTP(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	const host = "kinesis.eu-west-1.amazonaws.com"
	for proto, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		got, err := p.fetch(&tls.Config{ServerName: host, RootCAs: f.roots()}, func() (*net.TCPConn, error) { return p.dialName(host, 443) }, two)
		if want := "cloud " + proto + " GET " + host + "/x tls=true from env-1"; got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if got := f.seen(host, 443); got.Connections != 2 || got.BytesIn == 0 || got.BytesOut == 0 {
		t.Errorf("got %+v, want two connections and their bytes", got)
	}
}

func TestTheRealCloudsAddressLeadsToThePlatformWhenTLSNamesTheCloud(t *testing.T) {
	real := newServer(t, "203.0.113.9:443", echo)
	f := newFixture(t, nil)
	p := f.newPlace(t)
	const host = "sts.amazonaws.com"
	got, err := p.fetch(&tls.Config{ServerName: host, RootCAs: f.roots()}, func() (*net.TCPConn, error) { return p.dial(real.AddrPort.String()) }, false)
	if err != nil || !strings.Contains(got, "GET "+host) {
		t.Errorf("got %q, %v, want the platform's answer", got, err)
	}
	if n := real.Accepted.Load(); n != 0 {
		t.Errorf("got %d connections outside, want none", n)
	}
	// What is not TLS, or names another host, goes where it was going, byte for byte.
	for _, first := range []string{"SSH-2.0-x\r\n", "\x16\x03\x01\x00\x05short", "\x16"} {
		c, err := p.dial(real.AddrPort.String())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := exchangeLine(c, first); got != first || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, first)
		}
	}
}

func TestTheCloudsNamesAreAnsweredOnTheWebsPortsOnly(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	c, err := p.dialName("db.abc.eu-west-1.rds.amazonaws.com", 5432)
	mustReset(t, c, err)
	if got := f.seen("db.abc.eu-west-1.rds.amazonaws.com", 5432); got.Denied != 1 {
		t.Errorf("got %+v, want it denied", f.Seen())
	}
}

func TestACertificateIsMadeForTheCloudsNamesOnly(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	_, err := p.fetch(&tls.Config{ServerName: "bank.example", InsecureSkipVerify: true}, func() (*net.TCPConn, error) { return p.dialName("sqs.eu-west-1.amazonaws.com", 443) }, false)
	if err == nil {
		t.Error("got a handshake for bank.example, want none")
	}
}
