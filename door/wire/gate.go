package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
	"sync"
	"time"
)

// mismatchText is AWS's own, in every protocol.
const mismatchText = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// admit is the gate: it returns nil only for a whole request that a known
// access key signed, and then fills in all of x.req. What can be refused
// without the body is refused before the body is read.
func (x *exchange) admit() *Error {
	r, f := x.req.HTTP, x.front
	var c claim
	err := c.parse(r)
	x.req.Service = c.service
	if err != nil {
		return err
	}
	cred, err := f.plausible(&c, r, x.req.At)
	if err != nil {
		return err
	}
	x.req.Path = wirePath(r)
	if !isS3(c.service) {
		x.req.Path = normalPath(x.req.Path)
	}
	service, ok := f.services[c.service]
	if !ok {
		service.BodyBytesMax = unservedBodyMax
		if len(r.TransferEncoding) > 0 { // uploads; what is wrong is not how they are sent
			return f.unserved(&x.req)
		}
	}
	if x.req.Body, err = x.body(service.BodyBytesMax, service.TooLarge); err != nil {
		return err
	}
	x.req.Caller = cred.Identity
	if err = f.verify(&c, &x.req, cred.Secret); err != nil || !service.Unpacks {
		return err
	}
	return x.unpack(service.BodyBytesMax)
}

// plausible checks all of a claim that can be checked without the body, and
// finds the credential it is made with.
func (f *Front) plausible(c *claim, r *http.Request, now time.Time) (Credential, *Error) {
	cred, err := f.known(c, now)
	if err != nil {
		return cred, err
	}
	if name := unsigned(r.Header, c.headers); name != "" {
		return cred, mismatch.error("There were headers present in the request which were not signed, or not once: " + strings.ToLower(name))
	}
	return cred, f.timely(c, now)
}

// known finds the credential a claim is made with, and checks its token.
func (f *Front) known(c *claim, now time.Time) (Credential, *Error) {
	cred, ok := f.cfg.Credentials.Credential(c.accessKey)
	if !ok || cred.Secret == "" || cred.Identity == (Identity{}) || subtle.ConstantTimeCompare([]byte(cred.Token), []byte(c.token)) != 1 {
		return Credential{}, unknownKey.error("The security token included in the request is invalid.")
	}
	if !cred.Expires.IsZero() && !now.Before(cred.Expires) {
		return Credential{}, expiredToken.error("The security token included in the request is expired")
	}
	if global := isGlobal(c.service) && c.region == "us-east-1"; !global && c.region != f.cfg.Region {
		return Credential{}, mismatch.error("Credential should be scoped to a valid region, not '" + c.region + "'. ")
	}
	return cred, nil
}

// isGlobal says whether a service is signed for us-east-1 from everywhere.
func isGlobal(service string) bool {
	switch service {
	case "sts", "iam", "route53", "cloudfront", "organizations":
		return true
	}
	return false
}

// timely refuses what was signed too long ago, or in the future.
func (f *Front) timely(c *claim, now time.Time) *Error {
	good := skewMax
	if c.presigned {
		good = c.expires
	}
	if early := now.Add(-good); c.at.Before(early) {
		why := ""
		if !c.presigned {
			why = " (" + now.UTC().Format(amzTime) + " - 15 min.)"
		}
		return skewed.error("Signature expired: " + c.stamp + " is now earlier than " + early.UTC().Format(amzTime) + why)
	}
	if late := now.Add(skewMax); c.at.After(late) {
		return skewed.error("Signature not yet current: " + c.stamp + " is still later than " + late.UTC().Format(amzTime) + " (" + now.UTC().Format(amzTime) + " + 15 min.)")
	}
	return nil
}

// verify checks the payload's hash and the signature over everything.
func (f *Front) verify(c *claim, r *Request, secret string) *Error {
	var digits [2 * sha256.Size]byte
	sum := sha256.Sum256(r.Body)
	hex.Encode(digits[:], sum[:])
	payload := string(digits[:])
	sent := r.HTTP.Header["X-Amz-Content-Sha256"]
	switch {
	case len(sent) > 1:
		return mismatch.error(mismatchText)
	case isS3(c.service) && (len(sent) == 1 && sent[0] == unsignedPayload || len(sent) == 0 && c.presigned):
		payload = unsignedPayload
	case len(sent) == 1 && strings.HasPrefix(sent[0], "STREAMING-"):
		return unsupported.error("A body signed in chunks (" + sent[0] + ") is not supported here.")
	case len(sent) == 1 && sent[0] != payload:
		return badPayload.error("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}

	scratch := f.buffers.Get().(*[]byte)
	defer f.buffers.Put(scratch)
	b, ok := appendCanonical((*scratch)[:0], r.HTTP, c, r.Path, payload)
	sum = sha256.Sum256(b)
	b = append(b[:0], algorithm+"\n"...)
	b = append(b, c.stamp...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	toSign := len(b)

	key, kept := f.keys.find(secret, c.scope)
	if !kept {
		key = newSigningKey(secret, c)
	}
	mac := key.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(b)
	b = mac.Sum(b)
	key.macs.Put(mac)
	b = hex.AppendEncode(b, b[toSign:])
	*scratch = b
	want := b[len(b)-2*sha256.Size:]
	if subtle.ConstantTimeCompare(want, []byte(c.signature)) != 1 || !ok {
		return mismatch.error(mismatchText)
	}
	if !kept {
		f.keys.keep(secret, c.scope, key)
	}
	return nil
}

// signingKeysMax bounds the derived keys that are kept: one for each access
// key, day and service. When it is reached they are derived anew.
const signingKeysMax = 4096

// signingKeys keeps derived keys, since deriving one costs four more HMACs.
// Only keys that verified a request get in, so strangers cannot fill it.
type signingKeys struct {
	mu sync.RWMutex // guards m
	m  map[signingKeyID]*signingKey
}

type signingKeyID struct{ secret, scope string }

type signingKey struct{ macs sync.Pool } // of hash.Hash: HMACs under this key

func (k *signingKeys) find(secret, scope string) (*signingKey, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.m[signingKeyID{secret, scope}]
	return key, ok
}

func (k *signingKeys) keep(secret, scope string, key *signingKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.m == nil || len(k.m) >= signingKeysMax {
		k.m = map[signingKeyID]*signingKey{}
	}
	k.m[signingKeyID{strings.Clone(secret), strings.Clone(scope)}] = key
}

// newSigningKey derives the key of a scope (AWS Signature Version 4, "Derive a signing key").
func newSigningKey(secret string, c *claim) *signingKey {
	key := []byte("AWS4" + secret)
	for _, part := range [...]string{c.date, c.region, c.service, terminal} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	k := &signingKey{}
	k.macs.New = func() any { return hmac.New(sha256.New, key) }
	return k
}
