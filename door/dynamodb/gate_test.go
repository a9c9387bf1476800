package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Whose requests are not let in learns why in the service's words, streams' readers too.
func TestWhatIsNotSignedRightlyIsRefusedInTheServicesWords(t *testing.T) {
	w := newWorld(t)
	send := func(target string, prepare func(r *http.Request, hash string)) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", target)
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		sum := sha256.Sum256([]byte("{}"))
		prepare(r, hex.EncodeToString(sum[:]))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		is := answer.Header
		if sum := fmt.Sprint(crc32.ChecksumIEEE(text)); is.Get("X-Amz-Crc32") != sum || len(is.Get("X-Amzn-Requestid")) != requestIDLength || is.Get("Content-Type") != "application/x-amz-json-1.0" {
			t.Errorf("%s: got %v, want what every answer carries", target, is)
		}
		return answer.StatusCode, string(text)
	}
	signed := func(key, secret string, at time.Time) func(*http.Request, string) {
		return func(r *http.Request, hash string) {
			if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, r, hash, "dynamodb", region, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, target := range []string{"DynamoDB_20120810.ListTables", "DynamoDBStreams_20120810.ListStreams"} {
		for _, c := range []struct {
			name, message string
			prepare       func(*http.Request, string)
		}{
			{"MissingAuthenticationTokenException", "Request is missing Authentication Token", func(*http.Request, string) {}},
			{"UnrecognizedClientException", "The security token included in the request is invalid.", signed("AKIDOTHER", "secret", time.Now())},
			{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", signed("AKID", "other", time.Now())},
			{"InvalidSignatureException", "Signature expired: ", signed("AKID", "secret", time.Now().Add(-time.Hour))},
			{"IncompleteSignatureException", "Authorization header requires 'Signature' parameter. ", func(r *http.Request, _ string) {
				r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host")
			}},
		} {
			status, text := send(target, c.prepare)
			if want := fmt.Sprintf(`{"__type":"com.amazon.coral.service#%s","message":"%s`, c.name, c.message); status != http.StatusBadRequest || !strings.HasPrefix(text, want) {
				t.Errorf("%s: got %d %s, want 400 %s", target, status, text, want)
			}
		}
	}
}

func TestAnAnswerIsPlainJSONForWhoDoesNotAskInTheProtocolsOwn(t *testing.T) {
	for asked, want := range map[string]string{
		"application/x-amz-json-1.0": "application/x-amz-json-1.0", "application/x-amz-json-1.0; charset=utf-8": "application/x-amz-json-1.0",
		"application/json": "application/json", " application/json ;x": "application/json", "": "application/json",
	} {
		r := &http.Request{Header: http.Header{"Content-Type": {asked}}}
		if got := contentType(r); got != want {
			t.Errorf("%q: got %s, want %s", asked, got, want)
		}
	}
}
