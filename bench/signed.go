package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/daruma-io/daruma/node"
)

// Content types of the services' protocols.
const (
	typeJSON = "application/x-amz-json-1.0"
	typeForm = "application/x-www-form-urlencoded"
)

// A signer makes whole requests for one service at one server, signed and
// ready to be sent. They are good for fifteen minutes.
type signer struct {
	key                   node.Key
	addr, region, service string
	v4                    *v4.Signer
}

func newSigner(key node.Key, addr, region, service string) signer {
	return signer{key, addr, region, service, v4.NewSigner()}
}

// post is a request with a body.
func (s signer) post(ctx context.Context, path string, header http.Header, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	if err := s.v4.SignHTTP(ctx, aws.Credentials{AccessKeyID: s.key.ID, SecretAccessKey: s.key.Secret}, r, hash, s.service, s.region, time.Now()); err != nil {
		return nil, err
	}
	return raw(path, s.addr, r.Header, body), nil
}

// call is a request in the protocol JSON 1.0.
func (s signer) call(ctx context.Context, operation, body string) ([]byte, error) {
	return s.post(ctx, "/", http.Header{"Content-Type": {typeJSON}, "X-Amz-Target": {operation}}, body)
}

// raw is a whole request, unsigned unless its headers say otherwise.
func raw(path, host string, header http.Header, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", path, host, len(body))
	_ = header.Write(&b) // to memory
	fmt.Fprintf(&b, "\r\n%s", body)
	return b.Bytes()
}
