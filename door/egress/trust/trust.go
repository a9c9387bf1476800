// Package trust holds the certificate authority that lets the platform answer
// for the cloud's host names over TLS, and the files by which functions come
// to trust it.
//
// It promises that the authority can vouch for the names it was opened for
// and for nothing else: the limit is written into its certificate as critical
// name constraints (RFC 5280, section 4.2.1.10), so that even a stolen key
// cannot impersonate a bank to a function. The key is made at the first
// opening, never leaves its directory, and is readable by its owner only. It
// is never installed in the machine's own trust store.
//
// [Session] makes an authority of another kind, for functions whose exchanges
// with other hosts are recorded or played back: it vouches for any name, its
// key never leaves the process's memory and ends with it, and its certificate
// is shown to the places of those functions only.
//
// An [Authority] may be used from any goroutine. Two processes must not open
// the same directory at once; the caller's lock on its data directory sees to
// that.
package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// Lifetimes of what the authority signs.
const (
	authorityLife  = 10 * 365 * 24 * time.Hour
	authorityRenew = 90 * 24 * time.Hour // an authority with less left is replaced when it is opened
	leafLife       = 30 * 24 * time.Hour
	leafRenew      = 24 * time.Hour // a leaf with less left is signed anew
	backdate       = 24 * time.Hour // for clocks that are behind
)

// leavesMax bounds the leaves kept; one more drops an arbitrary one, which is
// signed again when it is next asked for (some 100 µs).
const leavesMax = 1024

// An Authority signs certificates for the names it was opened for.
type Authority struct {
	cert     *x509.Certificate
	key      crypto.Signer
	leafKey  crypto.Signer // one for all leaves: they are all ours, and a key costs more than a signature
	suffixes []string
	any      bool // of a session: it vouches for every name
	now      func() time.Time
	files    Files
	cache    leaves
}

// Open opens the authority kept in dir for the given domains and all names
// below them ("amazonaws.com" stands for itself and "*.amazonaws.com"). It
// makes dir (0700) and a new authority when there is none, when the one there
// is about to expire, or when it was made for other domains. It refuses
// (KindDenied) a key that anyone but its owner could read.
//
// Beside the key, dir/public is written anew each time: see [Files]. roots is
// a PEM file of the roots functions trust besides; "" means the machine's.
func Open(dir string, suffixes []string, roots string, now func() time.Time) (*Authority, error) {
	a := &Authority{suffixes: slices.Sorted(slices.Values(suffixes)), now: now}
	if len(a.suffixes) == 0 || slices.Contains(a.suffixes, "") {
		return nil, &daruma.Error{Op: "open certificate authority", Kind: daruma.KindInvalid, Ref: dir, Err: errors.New("an authority without a limit to its names is not made")}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	err := a.load(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errOutdated) {
		err = a.create(dir)
	}
	if err != nil {
		return nil, err
	}
	if a.leafKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	if a.files, err = writeFiles(filepath.Join(dir, "public"), []*x509.Certificate{a.cert}, roots, now()); err != nil {
		return nil, err
	}
	return a, nil
}

// Certificate returns the authority's own certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Files tells where the public files are.
func (a *Authority) Files() Files { return a.files }

// errOutdated says that what is on disk is sound but must be replaced.
var errOutdated = errors.New("made for other names, or about to expire")

// File names in the authority's directory. Key and certificate are one file,
// so that a crash never leaves one without the other.
const authorityFile = "authority.pem"

// load reads the authority from dir: fs.ErrNotExist when there is none.
func (a *Authority) load(dir string) error {
	path := filepath.Join(dir, authorityFile)
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return &daruma.Error{Op: "read certificate authority", Kind: daruma.KindDenied, Ref: path,
			Err:  fmt.Errorf("mode %v lets others read the key", info.Mode()),
			Hint: "if nobody can have copied it: chmod 600 " + path + "; otherwise delete it, and a new one is made"}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return &daruma.Error{Op: "read certificate authority", Kind: daruma.KindCorrupt, Ref: path, Err: err, Hint: "delete the file; a new authority is made at the next start"}
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return &daruma.Error{Op: "read certificate authority", Kind: daruma.KindCorrupt, Ref: path, Err: errors.New("it holds no authority"), Hint: "delete the file; a new authority is made at the next start"}
	}
	if pair.Leaf.NotAfter.Sub(a.now()) < authorityRenew || !slices.Equal(slices.Sorted(slices.Values(pair.Leaf.PermittedDNSDomains)), a.suffixes) {
		return errOutdated
	}
	a.cert, a.key = pair.Leaf, signer
	return nil
}

// create makes a new authority and keeps it in dir.
func (a *Authority) create(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	host, _ := os.Hostname() // only to be told apart in a list; "" is fine
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Daruma"}, CommonName: "Daruma local authority " + host},
		NotBefore:             a.now().Add(-backdate),
		NotAfter:              a.now().Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs leaves, never another authority
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		// Constraints hold per type of name: what has no permitted entry must be excluded.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         a.suffixes,
		ExcludedIPRanges: []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	kept := append(certificatePEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if err := replace(filepath.Join(dir, authorityFile), kept, 0o600); err != nil {
		return fmt.Errorf("keep certificate authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	a.key = key
	return nil
}

// serial returns a random serial number of 127 bits.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the process instead
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// Covers says whether name is one the authority may vouch for.
func (a *Authority) Covers(name string) bool { return a.any || Below(name, a.suffixes) }

// Below says whether name, in lower case and without a final dot, is one of
// the domains or lies below one of them.
func Below(name string, domains []string) bool {
	for _, d := range domains {
		if name == d || strings.HasSuffix(name, d) && name[len(name)-len(d)-1] == '.' {
			return true
		}
	}
	return false
}

// certificatePEM is a certificate as files hold it.
func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// replace writes a file so that a crash leaves the old one or the new one.
func replace(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what went wrong first is the error
		}
	}()
	if _, err = f.Write(data); err == nil {
		if err = f.Chmod(mode); err == nil {
			err = f.Sync()
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
