package trust

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/daruma-io/daruma"
)

// leaves are the certificates signed so far, by name.
type leaves struct {
	mu sync.Mutex // guards by
	by map[string]*tls.Certificate
}

// GetCertificate answers a handshake with a certificate for the name the
// client asked for; it fits tls.Config. A client that names no host, or a
// host the authority may not vouch for, is refused (KindDenied).
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.Leaf(hello.ServerName)
}

// Leaf returns a certificate for one name, signing one when there is none.
func (a *Authority) Leaf(name string) (*tls.Certificate, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == "" || !a.Covers(name) {
		return nil, &daruma.Error{Op: "certify", Kind: daruma.KindDenied, Ref: name, Err: fmt.Errorf("not below %s", strings.Join(a.suffixes, ", "))}
	}
	a.cache.mu.Lock()
	c := a.cache.by[name]
	a.cache.mu.Unlock()
	if c != nil && c.Leaf.NotAfter.Sub(a.now()) > leafRenew {
		return c, nil
	}
	c, err := a.sign(name) // two handshakes at once may both sign; either certificate is good
	if err != nil {
		return nil, err
	}
	a.cache.mu.Lock()
	defer a.cache.mu.Unlock()
	if a.cache.by == nil {
		a.cache.by = map[string]*tls.Certificate{}
	}
	if len(a.cache.by) >= leavesMax {
		for other := range a.cache.by {
			delete(a.cache.by, other)
			break
		}
	}
	a.cache.by[name] = c
	return c, nil
}

// sign makes a leaf for name.
func (a *Authority) sign(name string) (*tls.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"Daruma"}},
		NotBefore:    a.now().Add(-backdate),
		NotAfter:     a.now().Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
	}
	if ip := net.ParseIP(name); ip != nil {
		t.DNSNames, t.IPAddresses = nil, []net.IP{ip}
	}
	if t.NotBefore.Before(a.cert.NotBefore) {
		t.NotBefore = a.cert.NotBefore
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, a.leafKey.Public(), a.key)
	if err != nil {
		return nil, &daruma.Error{Op: "certify", Ref: name, Err: err}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, &daruma.Error{Op: "certify", Ref: name, Err: err}
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: a.leafKey, Leaf: leaf}, nil
}
