package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/notify/notifytest"
	"github.com/daruma-io/daruma/outside"
)

// canary is a secret that must be nowhere but where it is used.
const canary = "CANARY-5ecr3t"

func lookup(name string) (string, bool) {
	switch name {
	case "SECRET", "PASSWORD":
		return canary, true
	case "PATH":
		return os.Getenv("PATH"), true
	}
	return "", false
}

func allowing(t testing.TB, all ...string) *outside.Guard {
	t.Helper()
	cfg := outside.Config{}
	for _, s := range all {
		a, err := outside.ParseAllow(s)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Allow = append(cfg.Allow, a)
	}
	return outside.New(cfg)
}

// try sends a sample through one channel.
func try(t testing.TB, cfg Config, c Channel, allow ...string) Answer {
	t.Helper()
	cfg.App, cfg.Lookup = "shop", lookup
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	n := New(cfg)
	c.Name = "ops"
	n.Use(allowing(t, allow...), []Channel{c})
	all, err := n.Test(t.Context(), []string{"ops"})
	if err != nil {
		t.Fatal(err)
	}
	if a := all[0]; strings.Contains(a.Said, canary) || a.Err != nil && strings.Contains(a.Err.Error(), canary) {
		t.Errorf("the answer shows a secret: %+v", a)
	}
	return all[0]
}

func TestAWebhookIsPostedSignedJSON(t *testing.T) {
	var body []byte
	var header http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header
		io.WriteString(w, "thanks "+canary)
	}))
	defer s.Close()
	a := try(t, Config{}, Channel{Kind: KindWebhook, URL: Secret(s.URL), Secret: "env:SECRET"}, "127.0.0.1")
	if a.Err != nil || a.Said != "200 OK thanks [secret]" {
		t.Errorf("got %q, %v", a.Said, a.Err)
	}
	var m Message
	if err := json.Unmarshal(body, &m); err != nil || m.Version != 1 || !m.Test || m.App != "shop" || m.Channel != "ops" || len(m.Notices) != 1 || m.Notices[0].Group == nil {
		t.Errorf("got %s, %v", body, err)
	}
	stamp, sum, _ := strings.Cut(strings.TrimPrefix(header.Get(SignatureHeader), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(canary))
	mac.Write([]byte(stamp + "." + string(body)))
	if want := hex.EncodeToString(mac.Sum(nil)); sum != want {
		t.Errorf("got the signature %s, want %s", sum, want)
	}
	if got := header.Get(NoticesHeader); got != "N-1" {
		t.Errorf("got the notices %q", got)
	}
}

func TestWhatAWebhookAnswersIsToldWithoutItsURL(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "you sent "+r.URL.Path, http.StatusTooManyRequests)
	}))
	file := filepath.Join(t.TempDir(), "url")
	os.WriteFile(file, []byte(s.URL+"/services/ü"+canary+"\n"), 0o600)
	a := try(t, Config{}, Channel{Kind: KindSlack, URL: Secret("file:" + file)}, "127.0.0.1")
	b, ok := errors.AsType[*busy](a.Err)
	if !ok || b.after != 7*time.Second || !strings.Contains(a.Err.Error(), "429 Too Many Requests") {
		t.Errorf("got %v, want 429 and 7 s", a.Err)
	}
	s.Close()
	if a := try(t, Config{}, Channel{Kind: KindSlack, URL: Secret("file:" + file)}, "127.0.0.1"); a.Err == nil || strings.Contains(a.Err.Error(), "services") {
		t.Errorf("nobody there: got %v", a.Err)
	}
	if a := try(t, Config{}, Channel{Kind: KindSlack, URL: "env:NOWHERE"}); a.Err == nil || !strings.Contains(a.Err.Error(), "env:NOWHERE") {
		t.Errorf("no such variable: got %v", a.Err)
	}
	if a := try(t, Config{}, Channel{Kind: KindSlack, URL: "inline:ftp://" + canary}); a.Err == nil {
		t.Error("a URL that is not HTTP: got no error")
	}
}

func TestAWebhookInsideIsRefused(t *testing.T) {
	reached := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer s.Close()
	a := try(t, Config{}, Channel{Kind: KindWebhook, URL: Secret(s.URL)})
	if _, ok := errors.AsType[*outside.Refused](a.Err); !ok || reached {
		t.Errorf("got %v, reached %v", a.Err, reached)
	}
}

func TestASlackMessageMentionsNobody(t *testing.T) {
	m := (&Notifier{cfg: Config{App: "shop"}.withDefaults()}).sample("ops")
	m.Notices[0].Group.Message = "<!channel> <@U123> & ```" + strings.Repeat("&<>", 2000)
	m.Summary = m.summary()
	m.Notices = append(m.Notices, make([]Notice, 100)...)
	var got struct {
		Text   string
		Blocks []slackBlock
	}
	raw, _ := json.Marshal(slackMessage(m))
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Blocks) > 50 || len(got.Blocks) < 2 || !strings.Contains(got.Text, "&lt;!channel&gt;") {
		t.Errorf("got %d blocks and %q", len(got.Blocks), got.Text)
	}
	for i, b := range got.Blocks {
		if n := len([]rune(b.Text.Text)); n > 3000 || strings.Contains(b.Text.Text, "<") || strings.Count(b.Text.Text, "```")%2 != 0 {
			t.Errorf("block %d has %d characters: %s", i, n, b.Text.Text[:100])
		}
	}
}

func mailChannel(m *notifytest.Mail, tls string) Channel {
	return Channel{Kind: KindEmail, Server: m.Addr, TLS: tls, From: "Daruma <daruma@example.com>", To: []string{"a@example.com", "Bé <b@example.com>"}, User: "inline:user", Password: "env:PASSWORD"}
}

// roots vouches for the mail server of tests.
func roots(t *testing.T) *x509.CertPool {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func TestMailIsSentOverTLSWithAPassword(t *testing.T) {
	for _, tls := range []string{"starttls", "tls"} {
		m := notifytest.NewMail(t, func(m *notifytest.Mail) { m.StartTLS, m.Implicit, m.Password = tls == "starttls", tls == "tls", canary })
		if a := try(t, Config{Roots: roots(t)}, mailChannel(m, tls), "127.0.0.1"); a.Err != nil {
			t.Errorf("%s: %v", tls, a.Err)
			continue
		}
		l := m.Letters()[0]
		if !l.TLS || l.User != "user" || l.From != "daruma@example.com" || strings.Join(l.To, ",") != "a@example.com,b@example.com" {
			t.Errorf("%s: got %+v", tls, l)
		}
		for _, want := range []string{"Subject: TEST shop: G-1 new in Sample", "To: <a@example.com>, =?utf-8?q?B=C3=A9?= <b@example.com>\r\n", "Message-ID: <N-1.ops.", "daruma failures ls"} {
			if !strings.Contains(l.Data, want) {
				t.Errorf("%s: %q is not in\n%s", tls, want, l.Data)
			}
		}
	}
}

func TestMailIsNotSentWhereItIsNotSafe(t *testing.T) {
	plain := notifytest.NewMail(t, func(m *notifytest.Mail) { m.Password = canary })
	if a := try(t, Config{}, mailChannel(plain, "starttls"), "127.0.0.1"); a.Err == nil || !strings.Contains(a.Err.Error(), "does not offer STARTTLS") {
		t.Errorf("without STARTTLS: got %v", a.Err)
	}
	strange := notifytest.NewMail(t, func(m *notifytest.Mail) { m.StartTLS, m.Password = true, canary })
	if a := try(t, Config{}, mailChannel(strange, "starttls"), "127.0.0.1"); a.Err == nil || !strings.Contains(a.Err.Error(), "certificate") {
		t.Errorf("a certificate nobody vouches for: got %v", a.Err)
	}
	if a := try(t, Config{}, mailChannel(plain, "none")); a.Err == nil {
		t.Error("a server inside: got no error")
	}
	if n := len(plain.Letters()) + len(strange.Letters()); n != 0 {
		t.Errorf("%d letters arrived", n)
	}
}

func TestAMailServersRefusalIsToldWithoutThePassword(t *testing.T) {
	m := notifytest.NewMail(t, func(m *notifytest.Mail) { m.StartTLS, m.Password = true, "another" })
	a := try(t, Config{Roots: roots(t)}, mailChannel(m, "starttls"), "127.0.0.1") // the server says the password it was given
	if a.Err == nil || !strings.Contains(a.Err.Error(), "the password [secret] is wrong") {
		t.Errorf("got %v", a.Err)
	}
	full := notifytest.NewMail(t, func(m *notifytest.Mail) { m.Refuse = "452 no room" })
	c := mailChannel(full, "none")
	c.User, c.Password = "", ""
	if a := try(t, Config{}, c, "127.0.0.1"); a.Err == nil || !strings.Contains(a.Err.Error(), "no room") {
		t.Errorf("got %v", a.Err)
	}
}

func TestALetterHasNoHeadersOfSomebodyElse(t *testing.T) {
	m := (&Notifier{cfg: Config{App: "shop"}.withDefaults()}).sample("ops")
	m.Notices[0].Group.Message = "a\r\nBcc: evil@example.com\r\n\r\n.\r\nb"
	m.Summary = "x\r\nBcc: evil@example.com"
	text := string(letter(m, &mail.Address{Address: "a@example.com"}, nil))
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	if strings.Contains(head, "\nBcc") {
		t.Errorf("got %s", head)
	}
}

func TestACommandIsGivenJSONAndNoShell(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\ncat >got.json\necho \"$1|$SECRET|$HOME\"\n"
	if err := os.WriteFile(filepath.Join(dir, "tell.sh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	a := try(t, Config{Dir: dir}, Channel{Kind: KindCommand, Run: []string{"./tell.sh", "a b; $(touch x)"}})
	if a.Err != nil || a.Said != "a b; $(touch x)||" {
		t.Errorf("got %q, %v", a.Said, a.Err)
	}
	var m Message
	raw, _ := os.ReadFile(filepath.Join(dir, "got.json"))
	if err := json.Unmarshal(raw, &m); err != nil || m.App != "shop" {
		t.Errorf("got %s, %v", raw, err)
	}
}

func TestACommandIsBounded(t *testing.T) {
	began, dir := time.Now(), t.TempDir()
	a := try(t, Config{Dir: dir}, Channel{Kind: KindCommand, Run: []string{"/bin/sh", "-c", "sleep 60 & echo $! >pid; sleep 60"}, Timeout: 500 * time.Millisecond})
	if a.Err == nil || !strings.Contains(a.Err.Error(), "ended after 500ms") || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %v", a.Err, time.Since(began))
	}
	if child, err := os.ReadFile(filepath.Join(dir, "pid")); err != nil || alive(strings.TrimSpace(string(child))) {
		t.Errorf("what it had started is still there: %s, %v", child, err)
	}
	a = try(t, Config{}, Channel{Kind: KindCommand, Run: []string{"/bin/sh", "-c", "yes | head -c 1000000; echo bad >&2; exit 3"}})
	if a.Err == nil || !strings.Contains(a.Err.Error(), "exit status 3") || len(a.Said) > 2*textBytesMax {
		t.Errorf("got %d bytes, %v", len(a.Said), a.Err)
	}
	if a = try(t, Config{}, Channel{Kind: KindCommand, Run: []string{"/no/such/program"}}); a.Err == nil {
		t.Error("no program: got no error")
	}
}

// alive says whether a process is still there after some seconds; one that nobody has waited for yet is not.
func alive(pid string) bool {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-pause.C {
		out, _ := exec.Command("ps", "-o", "stat=", "-p", pid).Output() // fails when there is no such process
		if state := strings.TrimSpace(string(out)); state == "" || strings.HasPrefix(state, "Z") {
			return false
		}
	}
	return true
}

func TestTheTerminalShowsNoControlCharacters(t *testing.T) {
	var got string
	m := (&Notifier{cfg: Config{App: "shop"}.withDefaults()}).sample("terminal")
	m.Owner, m.Notices[0].Function = "o\x1b]0;x\x07", "F\x1b[31m\u009b2J\nG"
	terminal{func(s string) { got += s }}.send(context.Background(), m)
	if strings.ContainsAny(got, "\x1b\x07\n\u009b") || !strings.Contains(got, "G-1 new in F") {
		t.Errorf("got %q", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT")
	f.Fuzz(func(t *testing.T, s string) {
		if got := retryAfter(s, time.Unix(0, 0)); got < 0 {
			t.Errorf("%q: got %v", s, got)
		}
	})
}

func TestAnEventIsTheReceiversOnlyWhenItIsSmallAndNothingInItIsSensitive(t *testing.T) {
	sensitive := false
	n := &Notifier{cfg: Config{Subject: func(string) Subject { return Subject{Sensitive: sensitive} }}.withDefaults()}
	for name, c := range map[string]struct {
		event     string
		redacted  bool
		sensitive bool
		want, why string
	}{
		"JSON":      {event: `{"a":1}`, want: `{"a":1}`},
		"text":      {event: `a "b"`, want: `"a \"b\""`},
		"bytes":     {event: "\xff\x00", why: "not text"},
		"large":     {event: strings.Repeat(" ", eventBytesMax) + "1", why: "larger than"},
		"redacted":  {event: `{}`, redacted: true, why: "sensitive"},
		"sensitive": {event: `{}`, sensitive: true, why: "sensitive"},
	} {
		f := &ledger.Failure{Number: 7}
		if c.redacted {
			f.Redacted = []string{"$.a"}
		}
		sensitive = c.sensitive
		got := n.failure(f, []byte(c.event))
		if string(got.Event) != c.want || !strings.Contains(got.EventWhy, c.why) || (c.why != "") != strings.Contains(got.EventWhy, "daruma failures show F-7") {
			t.Errorf("%s: got %s and %q", name, got.Event, got.EventWhy)
		}
	}
}
