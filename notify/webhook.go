package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/outside"
)

// SignatureHeader carries "t=UNIX,v1=HEX": HEX is HMAC-SHA256 with the secret
// over the decimal UNIX seconds, a full stop and the body. Who checks it should
// refuse what is older than a few minutes.
const SignatureHeader = "Daruma-Signature"

// NoticesHeader carries the IDs of the notices in a message: "N-12,N-13".
const NoticesHeader = "Daruma-Notices"

// Sign returns the value of SignatureHeader.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// webhook posts messages as JSON.
type webhook struct {
	Channel
	vars  variables
	guard *outside.Guard
}

func (w *webhook) send(ctx context.Context, m Message) (string, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	header := http.Header{}
	var ids []string
	for _, n := range m.Notices {
		ids = append(ids, n.ID.String())
	}
	header.Set(NoticesHeader, strings.Join(ids, ","))
	if w.Secret != "" {
		secret, err := w.vars.resolve(w.Secret)
		if err != nil {
			return "", err
		}
		header.Set(SignatureHeader, Sign([]byte(secret), body, time.Now()))
	}
	return post(ctx, w.guard, w.vars, w.URL, header, body)
}

// post posts JSON and returns what the other side said. Everything but a
// status of 2xx is an error.
func post(ctx context.Context, guard *outside.Guard, vars variables, to Secret, header http.Header, body []byte) (string, error) {
	address, err := vars.resolve(to)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", address, bytes.NewReader(body))
	if err != nil || req.URL.Host == "" || req.URL.Scheme != "https" && req.URL.Scheme != "http" {
		return "", errors.New("its URL is no http or https URL") // which one is a secret
	}
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", "daruma")
	req.Header = header
	client := guard.Client(outside.Limits{})
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL
		}
		return "", err
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, textBytesMax)) // how it went does not depend on it
	text := strings.TrimSpace(resp.Status + " " + oneLine(string(said), 200))
	if resp.StatusCode/100 == 2 {
		return text, nil
	}
	err = fmt.Errorf("it answered %s", text)
	if after := retryAfter(resp.Header.Get("Retry-After"), time.Now()); after > 0 {
		err = &busy{after, err}
	}
	return "", err
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 when it is neither, or past.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// slack posts messages as Slack's incoming webhooks take them.
type slack struct {
	Channel
	vars  variables
	guard *outside.Guard
}

// Limits of a Slack message.
const (
	slackTextMax   = 2900 // of 3,000 characters in one section
	slackBlocksMax = 48   // of 50
)

func (s *slack) send(ctx context.Context, m Message) (string, error) {
	body, err := json.Marshal(slackMessage(m))
	if err != nil {
		return "", err
	}
	return post(ctx, s.guard, s.vars, s.URL, http.Header{}, body)
}

type slackBlock struct {
	Type string    `json:"type"`
	Text slackText `json:"text"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// slackMessage has the summary as text, for notifications and for others that
// take text only, and a block for each notice.
func slackMessage(m Message) any {
	blocks := []slackBlock{{"section", slackText{"mrkdwn", "*" + mrkdwn(m.Summary) + "*"}}}
	for _, n := range m.Notices {
		if len(blocks) == slackBlocksMax {
			break
		}
		blocks = append(blocks, slackBlock{"section", slackText{"mrkdwn", "```" + slackCut(n.text()) + "```"}})
	}
	if m.More > 0 {
		blocks = append(blocks, slackBlock{"section", slackText{"mrkdwn", fmt.Sprintf("And %d more: `daruma failures ls --state open`", m.More)}})
	}
	return struct {
		Text   string       `json:"text"`
		Blocks []slackBlock `json:"blocks"`
	}{mrkdwn(m.Summary), blocks}
}

// mrkdwn escapes what Slack reads as markup of its own: mentions, links and code.
func mrkdwn(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'").Replace(s)
}

// slackCut escapes as much of a text as there is room for.
func slackCut(s string) string {
	for text := []rune(s); ; text = text[:len(text)*3/4] {
		out := mrkdwn(string(text))
		if len(text) < len([]rune(s)) {
			out += "…"
		}
		if len([]rune(out)) <= slackTextMax {
			return out
		}
	}
}
