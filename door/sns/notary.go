package sns

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // version 1 of signatures is SHA-1
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"time"

	"github.com/daruma-io/daruma"
)

const (
	notaryBits  = 2048
	notaryYears = 20
	keyBlock    = "RSA PRIVATE KEY"
	certBlock   = "CERTIFICATE"
)

// A Notary signs messages, with a key and a certificate of its own. It may be
// used from any goroutine.
type Notary struct {
	key  *rsa.PrivateKey
	cert []byte // in PEM
	name string // of the certificate's page
}

// NewNotary makes a notary's key and certificate, as text to be kept where
// nobody else can read it.
func NewNotary(now time.Time) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, notaryBits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	is := x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "sns.amazonaws.com", Organization: []string{"Daruma, on this machine only"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(notaryYears, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"sns.amazonaws.com"}}
	der, err := x509.CreateCertificate(rand.Reader, &is, &is, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der})...), nil
}

// OpenNotary reads what NewNotary made.
func OpenNotary(text []byte) (*Notary, error) {
	bad := func(err error) (*Notary, error) {
		return nil, &daruma.Error{Op: "read the key that signs messages", Kind: daruma.KindCorrupt, Err: err}
	}
	first, rest := pem.Decode(text)
	if first == nil || first.Type != keyBlock {
		return bad(errors.New("there is no key"))
	}
	key, err := x509.ParsePKCS1PrivateKey(first.Bytes)
	if err != nil {
		return bad(err)
	}
	second, _ := pem.Decode(rest)
	if second == nil || second.Type != certBlock {
		return bad(errors.New("there is no certificate"))
	}
	sum := sha256.Sum256(second.Bytes)
	return &Notary{key: key, cert: pem.EncodeToMemory(second), name: "SimpleNotificationService-" + hex.EncodeToString(sum[:16]) + ".pem"}, nil
}

// sign returns the signature of a text: PKCS #1, over SHA-1 in version 1 and SHA-256 in version 2.
func (n *Notary) sign(version int, text []byte) string {
	hash := crypto.SHA1
	var sum []byte
	if version == 2 {
		hash = crypto.SHA256
		s := sha256.Sum256(text)
		sum = s[:]
	} else {
		s := sha1.Sum(text) //nolint:gosec // as the version says
		sum = s[:]
	}
	signature, err := rsa.SignPKCS1v15(nil, n.key, hash, sum)
	if err != nil {
		panic(err) // the key is large enough for either hash
	}
	return base64.StdEncoding.EncodeToString(signature)
}
