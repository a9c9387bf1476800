package trust

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf16"

	"github.com/daruma-io/daruma"
)

// Names of the public files below [Files].Dir.
const (
	BundleName = "bundle.pem" // the roots, then the authority: for what replaces its list of roots
	CAName     = "ca.pem"     // the authorities alone: for what adds to its list
	StoreName  = "cacerts"    // the bundle as a Java key store
)

// StorePassword opens the Java key store. It is Java's own default and keeps
// nothing secret: the store holds public certificates.
const StorePassword = "changeit"

// bundleBytesMax bounds the file of roots that is read; real ones are near 250 KB.
const bundleBytesMax = 16 << 20

// Files are what a function needs to trust the authority. Dir holds only
// public files and may be made visible to functions as a whole.
type Files struct {
	Dir    string
	Bundle string
	CA     string
	Store  string
}

// machineRoots are where distributions keep their bundle, most common first
// (as crypto/x509 looks for them).
var machineRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, Amazon Linux
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/tls/cacert.pem",                           // OpenELEC
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
	"/etc/ssl/cert.pem",                                 // Alpine, macOS
}

// writeFiles writes the public files into dir. A machine without roots gets a
// bundle of the authority alone; then functions trust the cloud's names and
// nothing else, as programs of that machine would.
func writeFiles(dir string, authorities []*x509.Certificate, roots string, now time.Time) (Files, error) {
	f := Files{Dir: dir, Bundle: filepath.Join(dir, BundleName), CA: filepath.Join(dir, CAName), Store: filepath.Join(dir, StoreName)}
	certs, err := readRoots(roots)
	if err != nil {
		return Files{}, err
	}
	var alone []byte
	for _, a := range authorities {
		certs = append(certs, a.Raw)
		alone = append(alone, certificatePEM(a.Raw)...)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Files{}, fmt.Errorf("write trusted roots: %w", err)
	}
	var bundle []byte
	for _, der := range certs {
		bundle = append(bundle, certificatePEM(der)...)
	}
	contents := []struct {
		path string
		data []byte
	}{
		{f.Bundle, bundle},
		{f.CA, alone},
		{f.Store, javaStore(certs, now)},
	}
	for _, c := range contents {
		if err := replace(c.path, c.data, 0o644); err != nil {
			return Files{}, fmt.Errorf("write trusted roots: %w", err)
		}
	}
	return f, nil
}

// readRoots returns the certificates of a PEM file, or of the machine's. What
// does not parse is left out, as every TLS library does.
func readRoots(path string) ([][]byte, error) {
	paths := machineRoots
	if path != "" {
		paths = []string{path}
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err == nil && info.Size() > bundleBytesMax {
			return nil, &daruma.Error{Op: "read trusted roots", Kind: daruma.KindTooLarge, Ref: p, Err: fmt.Errorf("%d bytes, more than %d", info.Size(), bundleBytesMax)}
		}
		data, err := os.ReadFile(p)
		if err != nil {
			if path != "" {
				return nil, &daruma.Error{Op: "read trusted roots", Kind: daruma.KindNotFound, Ref: p, Err: err}
			}
			continue
		}
		return parseRoots(data), nil
	}
	return nil, nil
}

// parseRoots returns the DER of each certificate in PEM data, without repeats.
func parseRoots(data []byte) [][]byte {
	var out [][]byte
	seen := map[string]bool{}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if block.Type != "CERTIFICATE" || seen[string(block.Bytes)] {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue
		}
		seen[string(block.Bytes)] = true
		out = append(out, block.Bytes)
	}
}

// javaStore lays certificates out as a Java key store of the "JKS" format,
// version 2: a header, one trusted-certificate entry each, and a keyed SHA-1
// of it all (documented in OpenJDK's sun.security.provider.JavaKeyStore).
// Every Java since 1.2 reads it, whatever its default type is.
func javaStore(certs [][]byte, now time.Time) []byte {
	const magic, version, trusted = 0xfeedfeed, 2, 2
	text := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	b := binary.BigEndian.AppendUint32(nil, magic)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(certs)))
	for i, der := range certs {
		b = binary.BigEndian.AppendUint32(b, trusted)
		b = text(b, fmt.Sprintf("root-%d", i))
		b = binary.BigEndian.AppendUint64(b, uint64(now.UnixMilli()))
		b = text(b, "X.509")
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(der))), der...)
	}
	h := sha1.New()
	for _, u := range utf16.Encode([]rune(StorePassword)) {
		h.Write([]byte{byte(u >> 8), byte(u)})
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(b)
	return h.Sum(b)
}
