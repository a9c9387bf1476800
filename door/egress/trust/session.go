package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// sessionLife is longer than a process lives, and short for a key that nobody guards.
const sessionLife = 90 * 24 * time.Hour

// Session makes an authority that vouches for every name, for as long as the
// process lives. Its key is kept nowhere. Its files, in dir, make those who
// use them trust base as well; roots is as in [Open].
func Session(base *Authority, dir, roots string, now func() time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make session authority: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Daruma"}, CommonName: "Daruma authority of one session, for recorded functions"},
		NotBefore:             now().Add(-backdate),
		NotAfter:              now().Add(sessionLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make session authority: %w", err)
	}
	a := &Authority{key: key, any: true, now: now}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("make session authority: %w", err)
	}
	if a.leafKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make session authority: %w", err)
	}
	a.files, err = writeFiles(dir, []*x509.Certificate{base.cert, a.cert}, roots, now())
	return a, err
}
