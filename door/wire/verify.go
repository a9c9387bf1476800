package wire

import (
	"net/http"
	"strings"
)

// Verify checks the signature of a request that came in by another door, for
// the service it must be signed for. body is the whole body. It says who signed.
func (f *Front) Verify(r *http.Request, body []byte, service string) (Identity, *Error) {
	var c claim
	if err := c.parse(r); err != nil {
		return Identity{}, err
	}
	if c.service != service {
		return Identity{}, mismatch.error("Credential should be scoped to correct service: '" + service + "'. ")
	}
	cred, err := f.known(&c)
	if err != nil {
		return Identity{}, err
	}
	if err := f.timely(&c, f.cfg.Now()); err != nil {
		return Identity{}, err
	}
	if name := unsigned(r.Header, c.headers); name != "" {
		return Identity{}, mismatch.error("There were headers present in the request which were not signed, or not once: " + strings.ToLower(name))
	}
	signed := Request{HTTP: r, Path: normalPath(wirePath(r)), Body: body, Service: service}
	if err := f.verify(&c, &signed, cred.Secret); err != nil {
		return Identity{}, err
	}
	return cred.Identity, nil
}
