package wire

import "net/http"

// Verify checks the signature of a request that came in by another door, for
// the service it must be signed for. body is the whole body. It says who
// signed. A path that is not in its normal form is refused: what that door
// acts on would not be what was signed.
func (f *Front) Verify(r *http.Request, body []byte, service string) (Identity, *Error) {
	var c claim
	if err := c.parse(r); err != nil {
		return Identity{}, err
	}
	if c.service != service {
		return Identity{}, mismatch.error("Credential should be scoped to correct service: '" + service + "'. ")
	}
	cred, err := f.plausible(&c, r, f.cfg.Now())
	if err != nil {
		return Identity{}, err
	}
	signed := Request{HTTP: r, Path: wirePath(r), Body: body, Service: service}
	if signed.Path != normalPath(signed.Path) {
		return Identity{}, mismatch.error(mismatchText)
	}
	if err := f.verify(&c, &signed, cred.Secret); err != nil {
		return Identity{}, err
	}
	return cred.Identity, nil
}
