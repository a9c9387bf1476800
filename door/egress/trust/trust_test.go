package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

var domains = []string{"amazonaws.com", "on.aws"}

func open(t testing.TB, dir string, names []string, now time.Time) *Authority {
	t.Helper()
	a, err := Open(dir, names, "", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// roots holds the authority alone.
func roots(a *Authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Certificate())
	return p
}

func TestALeafIsGoodForItsNameAndOnlyServes(t *testing.T) {
	a := open(t, t.TempDir(), domains, time.Now())
	for _, name := range []string{"amazonaws.com", "sqs.eu-west-1.amazonaws.com", "a.b.c.d.s3.amazonaws.com", "X.lambda-url.eu-west-1.ON.AWS."} {
		c, err := a.Leaf(name)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.TrimSuffix(strings.ToLower(name), ".")
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots(a), DNSName: name}); err != nil {
			t.Errorf("%s: got %v, want it to verify", name, err)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots(a), DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
			t.Errorf("%s: got it good for a client, want for a server only", name)
		}
		if err := c.Leaf.VerifyHostname("other.amazonaws.com"); err == nil {
			t.Errorf("%s: got it good for another name", name)
		}
		again, err := a.Leaf(name)
		if err != nil || again != c {
			t.Errorf("%s: got another certificate, %v, want the one kept", name, err)
		}
	}
}

func TestNoLeafIsSignedForOtherNames(t *testing.T) {
	a := open(t, t.TempDir(), domains, time.Now())
	for _, name := range []string{"", ".", "bank.example", "notamazonaws.com", "amazonaws.com.bank.example", "127.0.0.1", "com", "*.com"} {
		if _, err := a.Leaf(name); daruma.KindOf(err) != daruma.KindDenied {
			t.Errorf("%q: got %v, want it denied", name, err)
		}
	}
	if _, err := Open(t.TempDir(), nil, "", time.Now); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want an authority for everything refused", err)
	}
}

// forge signs a leaf with a stolen key.
func forge(t *testing.T, a *Authority, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c, _ := forgePair(t, a, change)
	return c
}

// forgePair returns the forged certificate's key as well.
func forgePair(t *testing.T, a *Authority, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	leaf := &x509.Certificate{SerialNumber: serial(), NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	change(leaf)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func TestAStolenKeyCannotVouchForAnotherName(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, domains, time.Now())
	for name, c := range map[string]*x509.Certificate{
		"a bank": forge(t, a, func(c *x509.Certificate) { c.DNSNames = []string{"bank.example"} }),
		"beside": forge(t, a, func(c *x509.Certificate) { c.DNSNames = []string{"sqs.amazonaws.com", "bank.example"} }),
		"v4":     forge(t, a, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(1, 1, 1, 1)} }),
		"v6":     forge(t, a, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }),
	} {
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots(a)}); err == nil {
			t.Errorf("%s: Go accepts it, want it refused", name)
		}
		if out, err := opensslVerify(t, a, c); err == nil {
			t.Errorf("%s: OpenSSL accepts it: %s", name, out)
		}
	}
	sub, key := forgePair(t, a, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage = true, true, nil })
	below := forge(t, &Authority{cert: sub, key: key, now: a.now}, func(c *x509.Certificate) { c.DNSNames = []string{"sqs.amazonaws.com"} })
	between := x509.NewCertPool()
	between.AddCert(sub)
	if _, err := below.Verify(x509.VerifyOptions{Roots: roots(a), Intermediates: between}); err == nil {
		t.Error("Go accepts another authority below ours, want it refused")
	}
	good := forge(t, a, func(c *x509.Certificate) { c.DNSNames = []string{"sqs.amazonaws.com"} })
	if out, err := opensslVerify(t, a, good); err != nil {
		t.Errorf("OpenSSL refuses a good one: %s", out)
	}
}

// opensslVerify asks OpenSSL in its strictest mode; a machine without it
// leaves the question to Go, which asked it already.
func opensslVerify(t *testing.T, a *Authority, c *x509.Certificate) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "leaf.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl on this machine")
	}
	out, err := exec.Command("openssl", "verify", "-purpose", "sslserver", "-CAfile", a.Files().CA, path).CombinedOutput()
	return string(out), err
}

func TestTheKeyIsItsOwnersOnlyAndNotAmongThePublicFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trust")
	a := open(t, dir, domains, time.Now())
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, authorityFile): 0o600, a.Files().Bundle: 0o644, a.Files().CA: 0o644, a.Files().Store: 0o644} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want mode %v", path, info.Mode(), err, want)
		}
	}
	entries, err := os.ReadDir(a.Files().Dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("got %v, %v, want the three public files", entries, err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(a.Files().Dir, e.Name()))
		if err != nil || strings.Contains(string(b), "PRIVATE") {
			t.Errorf("%s holds a key, or %v", e.Name(), err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, authorityFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, domains, "", time.Now); daruma.KindOf(err) != daruma.KindDenied || daruma.HintOf(err) == "" {
		t.Errorf("got %v, want a key others can read refused with a hint", err)
	}
}

func TestAnAuthorityStaysUntilItMustChange(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := open(t, dir, domains, now)
	if again := open(t, dir, []string{"on.aws", "amazonaws.com"}, now.Add(365*24*time.Hour)); !again.Certificate().Equal(first.Certificate()) {
		t.Error("got another authority for the same names, want the one kept")
	}
	more := open(t, dir, append(domains, "api.aws"), now)
	if more.Certificate().Equal(first.Certificate()) || !more.Covers("ec2.api.aws") {
		t.Error("got the authority kept for other names, want a new one")
	}
	if late := open(t, dir, append(domains, "api.aws"), now.Add(authorityLife-authorityRenew+time.Hour)); late.Certificate().Equal(more.Certificate()) {
		t.Error("got an authority about to expire, want a new one")
	}
	if err := os.WriteFile(filepath.Join(dir, authorityFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, domains, "", time.Now); daruma.KindOf(err) != daruma.KindCorrupt || daruma.HintOf(err) == "" {
		t.Errorf("got %v, want damage told with a hint", err)
	}
}

func TestALeafIsSignedAnewBeforeItExpires(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir(), domains, now)
	a.now = func() time.Time { return now }
	first, err := a.Leaf("sqs.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(leafLife - leafRenew + time.Minute)
	next, err := a.Leaf("sqs.amazonaws.com")
	if err != nil || next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("got %v, %v, want a new one", next, err)
	}
}

func TestLeavesKeptAreBounded(t *testing.T) {
	a := open(t, t.TempDir(), domains, time.Now())
	for i := range leavesMax + 10 {
		if _, err := a.Leaf(strings.Repeat("a", i%60+1) + strings.Repeat("b", i/60) + ".amazonaws.com"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.cache.by); n > leavesMax {
		t.Errorf("got %d leaves kept, want at most %d", n, leavesMax)
	}
}

func TestTheBundleHoldsTheRootsAndTheAuthority(t *testing.T) {
	other := open(t, t.TempDir(), []string{"example"}, time.Now())
	rootsFile := filepath.Join(t.TempDir(), "roots.pem")
	broken := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	one := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw}))
	if err := os.WriteFile(rootsFile, []byte("# a remark\n"+one+broken+one), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.TempDir(), domains, rootsFile, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(a.Files().Bundle)
	if err != nil {
		t.Fatal(err)
	}
	got := parseRoots(b)
	if len(got) != 2 || string(got[0]) != string(other.Certificate().Raw) || string(got[1]) != string(a.Certificate().Raw) {
		t.Errorf("got %d certificates, want the root once, and then the authority", len(got))
	}
	if _, err := Open(t.TempDir(), domains, "/does/not/exist", time.Now); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want missing roots told", err)
	}
}

func TestJavaReadsTheStore(t *testing.T) {
	if _, err := exec.LookPath("keytool"); err != nil {
		t.Skip("no keytool on this machine")
	}
	a := open(t, t.TempDir(), domains, time.Now())
	out, err := exec.Command("keytool", "-list", "-keystore", a.Files().Store, "-storepass", StorePassword).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "trustedCertEntry") {
		t.Errorf("got %v, %s, want a list of certificates", err, out)
	}
	if out, err := exec.Command("keytool", "-list", "-keystore", a.Files().Store, "-storepass", "another").CombinedOutput(); err == nil {
		t.Errorf("got %s with a wrong password, want the store's checksum to tell", out)
	}
}

func TestAHandshakeWithoutANameIsRefused(t *testing.T) {
	a := open(t, t.TempDir(), domains, time.Now())
	if _, err := a.GetCertificate(&tls.ClientHelloInfo{}); daruma.KindOf(err) != daruma.KindDenied {
		t.Errorf("got %v, want it denied", err)
	}
}

func FuzzParseRoots(f *testing.F) {
	a := open(f, f.TempDir(), domains, time.Now())
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, der := range parseRoots(data) {
			if _, err := x509.ParseCertificate(der); err != nil {
				t.Errorf("got %v, want certificates only", err)
			}
		}
	})
}

func TestASessionVouchesForEveryNameAndKeepsItsKeyToItself(t *testing.T) {
	base, err := Open(t.TempDir(), []string{"amazonaws.com"}, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := Session(base, dir, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	bundle, err := os.ReadFile(s.Files().CA)
	if err != nil || !roots.AppendCertsFromPEM(bundle) {
		t.Fatal(err)
	}
	for _, name := range []string{"api.example", "192.0.2.7", "2001:db8::1"} {
		leaf, err := s.Leaf(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cloud, err := base.Leaf("s3.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cloud.Leaf.Verify(x509.VerifyOptions{DNSName: "s3.amazonaws.com", Roots: roots}); err != nil {
		t.Errorf("the cloud's names are not trusted any more: %v", err)
	}
	if _, err := s.Leaf(""); err == nil {
		t.Error("a certificate for no name")
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("PRIVATE KEY")) {
			t.Errorf("%s holds a key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
