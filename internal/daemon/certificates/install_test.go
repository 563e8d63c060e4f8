package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// holds makes a setting hold as a commit does.
func (b *bed) holds(t testing.TB, setting string) {
	t.Helper()
	b.wanted = append(b.wanted, setting)
	wanted := config.Document{}
	wanted.Set(config.Certificate, setting)
	if faults := b.CheckCertificates(wanted, config.Document{}); len(faults) > 0 {
		t.Fatalf("it cannot be committed: %v", faults)
	}
	b.ApplyCertificates(wanted)
}

// A pair that does not fit is refused with the reason, and the present one stays.
func TestRefusedPairs(t *testing.T) {
	root := newCA(t, "Root", nil)
	other := newCA(t, "Root", nil)
	middle := newCA(t, "Middle", &root)
	key, key2 := ecdsaKey(t), ecdsaKey(t)
	good := middle.leaf(t, key.Public())
	stranger := root.leaf(t, ecdsaKey(t).Public(), func(c *x509.Certificate) { c.Subject.CommonName = "Middle" })
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dated := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	old := newCA(t, "Old", &root, dated(-48*time.Hour, -24*time.Hour))
	var long []any
	for range mostCertificates {
		long = append(long, root.certificate)
	}
	garbage := pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: []byte("garbage")})
	wide := func(c *x509.Certificate) {
		for range 2000 {
			c.DNSNames = append(c.DNSNames, "a.name.that.is.not.short.example.com")
		}
	}
	c := open(t, t.TempDir())
	before := c.CertificateFingerprint()
	for name, row := range map[string]struct {
		chain, key string
		want       string
	}{
		"nothing":             {chain: "", want: "The text has no certificate."},
		"no PEM":              {chain: "certificate", want: "The text has no certificate."},
		"a key alone":         {chain: text(t, key), want: "The text has no certificate."},
		"damaged":             {chain: string(garbage), want: "Certificate 1 of the text is damaged."},
		"cut off":             {chain: text(t, good)[:200], want: "The text ends within a block"},
		"a request":           {chain: string(pem.EncodeToMemory(&pem.Block{Type: requestBlock})), want: "That is a request for a certificate."},
		"other block":         {chain: string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL"})), want: `The text has a block of the type "X509 CRL".`},
		"encrypted key":       {chain: text(t, good), key: string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"})), want: "The private key is encrypted."},
		"encrypted in 1993":   {chain: text(t, good), key: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "DES"}})), want: "The private key is encrypted."},
		"unreadable key":      {chain: text(t, good), key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"})), want: "The private key cannot be read."},
		"no key":              {chain: text(t, good), want: "The appliance has no key for the certificate of"},
		"two keys":            {chain: text(t, good, key, key2), want: "The text has 2 private keys."},
		"key twice":           {chain: text(t, good, key), key: text(t, key), want: "There is a private key in the text of the certificates already."},
		"certificate as key":  {chain: text(t, good), key: text(t, good), want: "The text is not one private key."},
		"other key":           {chain: text(t, good), key: text(t, key2), want: `The private key is not that of the certificate of "CN=mx1.example.com".`},
		"wrong order":         {chain: text(t, middle.certificate, good), key: text(t, key), want: "The chain is in the wrong order: the private key belongs to certificate 2."},
		"gap":                 {chain: text(t, good, root.certificate), key: text(t, key), want: `The chain is in the wrong order, or has a gap: certificate 1 ("CN=mx1.example.com") was issued by "CN=Middle", and not by certificate 2 ("CN=Root").`},
		"twice":               {chain: text(t, good, good), key: text(t, key), want: "Certificate 1 is there twice."},
		"other of that name":  {chain: text(t, good, middle.certificate, other.certificate), key: text(t, key), want: `Certificate 3 ("CN=Root") has the name of the issuer of certificate 2, and did not sign it.`},
		"no CA":               {chain: text(t, good, stranger), key: text(t, key), want: `Certificate 2 ("CN=Middle") is not that of a CA.`},
		"ended":               {chain: text(t, root.leaf(t, key.Public(), dated(-48*time.Hour, -time.Hour))), key: text(t, key), want: "The certificate ended at "},
		"not yet":             {chain: text(t, root.leaf(t, key.Public(), dated(time.Hour, 48*time.Hour))), key: text(t, key), want: "The certificate begins at "},
		"CA ended":            {chain: text(t, old.leaf(t, key.Public()), old.certificate), key: text(t, key), want: `Certificate 2 ("CN=Old") ended at `},
		"no names":            {chain: text(t, root.leaf(t, key.Public(), func(c *x509.Certificate) { c.DNSNames = nil })), key: text(t, key), want: "The certificate has no names."},
		"for clients":         {chain: text(t, root.leaf(t, key.Public(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), key: text(t, key), want: "The certificate is not for servers."},
		"not for signatures":  {chain: text(t, root.leaf(t, key.Public(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })), key: text(t, key), want: "The certificate is not for signatures."},
		"short RSA":           {chain: text(t, root.leaf(t, short.Public())), key: text(t, short), want: "The RSA key of certificate 1 has 1024 bits."},
		"P-224":               {chain: text(t, root.leaf(t, p224.Public())), key: text(t, p224), want: "The key of certificate 1 is on the curve P-224."},
		"SHA-1":               {chain: withSHA1(t), key: "", want: "The certificate is signed by ECDSA-SHA1, which clients do not take."},
		"too many":            {chain: text(t, append([]any{good}, long...)...), key: text(t, key), want: "The chain has 11 certificates of "},
		"too large":           {chain: text(t, root.leaf(t, key.Public(), wide)), key: text(t, key), want: "The chain has 1 certificates of "},
		"key that was pasted": {chain: text(t, good), key: "key", want: "The text is not one private key."},
	} {
		_, err := c.InstallCertificate(row.chain, menu.SecretText(row.key))
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: %v\nwant %s", name, err, row.want)
			continue
		}
		if e := menu.AsError(err); e.Code != menu.Usage || e.Argument != "chain" && e.Argument != "key" {
			t.Errorf("%s: the error is %v about %s", name, e.Code, e.Argument)
		}
	}
	if c.CertificateFingerprint() != before || len(c.CertificateStatus().Others) > 0 {
		t.Errorf("something of it was taken: %+v", c.CertificateStatus())
	}
}

// withSHA1 has openssl make what Go does not: a certificate that is signed with SHA-1, with its key.
func withSHA1(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key", "-out", "cert", "-sha1",
		"-subj", "/CN=mx1.example.com", "-addext", "subjectAltName=DNS:mx1.example.com")
	return read(t, dir, "cert") + read(t, dir, "key")
}

func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command(netnstest.Tool(t, "openssl"), args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// serve runs what a front is: it takes the certificate anew for each handshake.
func (b *bed) serve(t *testing.T) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		chain, _ := b.Chain()
		return &tls.Certificate{Certificate: chain, PrivateKey: b.distantKey(t, chain)}, nil
	}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Equal(hello.SupportedProtos, []string{"acme-tls/1"}) {
			return nil, nil
		}
		chain := b.Challenge(hello.ServerName)
		if chain == nil {
			return nil, errors.New("no CA was asked")
		}
		return &tls.Config{NextProtos: []string{"acme-tls/1"},
			Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: b.distantKey(t, chain)}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serveHello(l)
	return l.Addr().String()
}

// The way of an administrator: a request whose key stays inside, a CA that is openssl's, the
// certificate installed, clients that see it without a restart, and the next one with the same key.
func TestRequestSignedByOpenssl(t *testing.T) {
	for _, keyType := range []string{"ecdsa", "rsa"} {
		dir, ca := t.TempDir(), t.TempDir()
		c := open(t, dir)
		address := c.serve(t)
		r, err := c.RequestCertificate([]string{"mx1.example.com", "192.0.2.1"}, keyType)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(ca, "request"), []byte(r.PEM), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := openssl(t, ca, "req", "-in", "request", "-verify", "-noout", "-text"); !strings.Contains(out, "DNS:mx1.example.com, IP Address:192.0.2.1") {
			t.Errorf("openssl reads\n%s", out)
		}
		openssl(t, ca, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "30")
		sign := func(out string) string {
			openssl(t, ca, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy", "-days", "20", "-out", out)
			return read(t, ca, out)
		}
		installed, err := c.InstallCertificate("subject=CN = mx1\r\n  "+strings.ReplaceAll(sign("first"), "\n", "\r\n  ")+read(t, ca, "ca.pem"), "")
		if err != nil {
			t.Fatal(err)
		}
		client := func() string {
			return openssl(t, ca, "s_client", "-connect", address, "-CAfile", "ca.pem", "-verify_return_error", "-verify_hostname", "mx1.example.com")
		}
		own := c.CertificateFingerprint()
		c.holds(t, installed.Setting)
		if out := client(); !strings.Contains(out, "Verification: OK") || !strings.Contains(out, "1 s:CN = Test CA") {
			t.Errorf("%s: openssl sees\n%s", keyType, out)
		}
		if _, fromCA := c.Chain(); !fromCA || c.CertificateFingerprint() == own {
			t.Errorf("it is said to sign itself, or is the first")
		}
		if s := c.CertificateStatus(); s.Request != nil || s.Present.Origin != access.Installed || s.Present.Chain[0] != "CN=Test CA" {
			t.Errorf("afterwards there is %+v", s)
		}
		// A CA renews what it signed, for the key that the appliance has. That is the same.
		again, err := c.InstallCertificate(sign("second"), "")
		if err != nil || again.Fingerprint == installed.Fingerprint {
			t.Fatalf("%+v %v", again, err)
		}
		c.holds(t, again.Setting)
		if out := client(); !strings.Contains(out, "Verification: OK") {
			t.Errorf("%s: openssl sees\n%s", keyType, out)
		}
		// It ends in 20 days, which is told at logins, and it holds after a restart.
		if text := c.Notice(roomtest.Admin); !strings.Contains(text, "ends at") {
			t.Errorf("administrators are told %q", text)
		}
		later := open(t, dir)
		later.holds(t, again.Setting)
		if later.CertificateFingerprint() != again.Fingerprint {
			t.Error("a restart loses it")
		}
	}
}

// A certificate of the configuration that is damaged or lost: the appliance's own is shown, loudly,
// until it is installed again, which then needs no commit.
func TestDamagedCertificateOfTheConfiguration(t *testing.T) {
	root, key := newCA(t, "Root", nil), ecdsaKey(t)
	chain := text(t, root.leaf(t, key.Public()), key)
	for name, damage := range map[string]func(path string) error{
		"lost":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte(`{"version":1,"certificates":"x"}`), 0o600) },
		"another's": func(path string) error {
			data, err := os.ReadFile(filepath.Join(filepath.Dir(path), "own.json"))
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.Replace(string(data), access.SelfSigned, access.Installed, 1)), 0o600)
		},
	} {
		dir := t.TempDir()
		c := open(t, dir)
		own := c.CertificateFingerprint()
		one, err := c.InstallCertificate(chain, "")
		if err != nil {
			t.Fatal(err)
		}
		c.holds(t, one.Setting)
		path := c.file(nameOf(one.Setting)).Path
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		later := open(t, dir)
		later.wanted = []string{one.Setting}
		later.ApplyCertificates(config.Document{config.Certificate: one.Setting})
		if later.CertificateFingerprint() != own || !strings.Contains(later.Notice(roomtest.Admin), "cannot be read") ||
			!strings.Contains(later.logged(), "level=ERROR") || later.CertificateStatus().Trouble == "" {
			t.Errorf("%s: %s is shown, and said is %q, %q", name, later.CertificateFingerprint(), later.Notice(roomtest.Admin), later.logged())
		}
		if _, err := later.InstallCertificate(chain, ""); err != nil {
			t.Fatal(err)
		}
		if later.CertificateFingerprint() != one.Fingerprint || later.Notice(roomtest.Admin) != "" {
			t.Errorf("%s: it was installed again, and %q is said", name, later.Notice(roomtest.Admin))
		}
	}
}

// What is not there cannot be committed, nor what has ended meanwhile; what holds already stays.
func TestWhatCannotBeCommitted(t *testing.T) {
	c := open(t, t.TempDir())
	root, key := newCA(t, "Root", nil), ecdsaKey(t)
	one, err := c.InstallCertificate(text(t, root.leaf(t, key.Public()), key), "")
	if err != nil {
		t.Fatal(err)
	}
	wanted := config.Document{config.Certificate: one.Setting}
	if faults := c.CheckCertificates(wanted, nil); len(faults) > 0 {
		t.Fatal(faults)
	}
	ended := *c.pairs[nameOf(one.Setting)]
	old := root.leaf(t, key.Public(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	ended.chain, ended.leaf = [][]byte{old.Raw}, old
	c.pairs[nameOf(one.Setting)] = &ended
	if faults := c.CheckCertificates(wanted, nil); len(faults) != 1 || !strings.Contains(faults[0].Message, "ended at") {
		t.Errorf("%v", faults)
	}
	if faults := c.CheckCertificates(wanted, wanted); len(faults) > 0 {
		t.Errorf("what holds: %v", faults)
	}
	delete(c.pairs, nameOf(one.Setting))
	if faults := c.CheckCertificates(wanted, nil); len(faults) != 1 || !strings.Contains(faults[0].Message, "install it again") {
		t.Errorf("%v", faults)
	}
}

// Pairs that no commit can bring back go, with their keys; those that were just given stay a while.
func TestWhatNothingNamesGoes(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	first, err := c.NewCertificate([]string{"a.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.NewCertificate([]string{"b.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	c.holds(t, second.Setting)
	if n := len(c.CertificateStatus().Others); n != 1 {
		t.Fatalf("there are %d others", n)
	}
	later := open(t, dir)
	later.wanted = []string{"", second.Setting}
	later.ApplyCertificates(config.Document{config.Certificate: second.Setting})
	if s := later.CertificateStatus(); len(s.Others) != 0 || s.Present.Fingerprint != second.Fingerprint {
		t.Errorf("left are %+v", s)
	}
	if _, err := os.Stat(c.file(nameOf(first.Setting)).Path); !os.IsNotExist(err) {
		t.Errorf("its key is still there: %v", err)
	}
	later.ApplyCertificates(nil)
	if s := later.CertificateStatus(); len(s.Others) != 1 || s.Present.Setting != "" {
		t.Errorf("back to the appliance's own: %+v", s)
	}
	// Nobody fills the disk with pairs that are never committed.
	for n := range mostPairs + 5 {
		if _, err := later.NewCertificate([]string{"x.example.com"}); err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
	}
	if n := len(later.pairs); n > mostPairs {
		t.Errorf("there are %d", n)
	}
}

// The same certificate with another chain is another one to commits, so that each can be brought back.
func TestSameCertificateWithAnotherChain(t *testing.T) {
	c := open(t, t.TempDir())
	root := newCA(t, "Root", nil)
	middle, key := newCA(t, "Middle", &root), ecdsaKey(t)
	leaf := middle.leaf(t, key.Public())
	short, err := c.InstallCertificate(text(t, leaf, key), "")
	if err != nil {
		t.Fatal(err)
	}
	c.holds(t, short.Setting)
	long, err := c.InstallCertificate(text(t, leaf, middle.certificate), "")
	if err != nil || long.Setting == short.Setting || long.Fingerprint != short.Fingerprint {
		t.Fatalf("%+v %v", long, err)
	}
	if chain, _ := c.Chain(); len(chain) != 1 {
		t.Errorf("before the commit the chain has %d", len(chain))
	}
	for setting, n := range map[string]int{long.Setting: 2, short.Setting: 1} {
		c.holds(t, setting)
		if chain, _ := c.Chain(); len(chain) != n {
			t.Errorf("with %s the chain has %d", setting, len(chain))
		}
	}
	if again, err := c.InstallCertificate(text(t, leaf, middle.certificate), ""); err != nil || again.Setting != long.Setting {
		t.Errorf("once more it is %s, %v", again.Setting, err)
	}
}

// A certificate of the appliance's making keeps its names and its setting when it is made anew.
func TestRenewalOfNames(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	one, err := c.NewCertificate([]string{"a.example.com", "192.0.2.9"})
	if err != nil {
		t.Fatal(err)
	}
	c.holds(t, one.Setting)
	c.Sweep(one.End.Add(-renewBefore + time.Minute))
	now := c.CertificateStatus().Present
	if now.Fingerprint == one.Fingerprint || now.Setting != one.Setting || strings.Join(now.Names, " ") != "a.example.com 192.0.2.9" {
		t.Errorf("it is %+v", now)
	}
	if again := open(t, dir).pairs[nameOf(one.Setting)]; again == nil || again.fingerprint() != now.Fingerprint {
		t.Error("a restart loses it")
	}
}

// A full disk refuses what is installed, and the present one stays; nothing half-done is left.
func TestInstallOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	disk := disktest.Tmpfs(t, dir, "256k")
	c := open(t, dir)
	before := c.CertificateFingerprint()
	root, key := newCA(t, "Root", nil), ecdsaKey(t)
	chain := text(t, root.leaf(t, key.Public()), key)
	file, stop := disk.Fill()
	_, err := c.InstallCertificate(chain, "")
	roomtest.WantCode(t, err, menu.Failed)
	_, err = c.NewCertificate(nil)
	roomtest.WantCode(t, err, menu.Failed)
	_, err = c.RequestCertificate(nil, "ecdsa")
	roomtest.WantCode(t, err, menu.Failed)
	if s := c.CertificateStatus(); s.Present.Fingerprint != before || len(s.Others) > 0 || s.Request != nil {
		t.Errorf("there is %+v", s)
	}
	stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if again := open(t, dir); again.CertificateFingerprint() != before || again.logged() != "" {
		t.Errorf("after a restart: %q", again.logged())
	}
	if _, err := c.InstallCertificate(chain, ""); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// The key of a request goes with it.
func TestDropRequest(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	_, err := c.DropRequest()
	roomtest.WantCode(t, err, menu.State)
	if _, err := c.RequestCertificate(nil, "ecdsa"); err != nil {
		t.Fatal(err)
	}
	r, err := open(t, dir).DropRequest()
	if err != nil || len(r.Names) == 0 || strings.Contains(strings.Join(r.Names, " "), "localhost") {
		t.Errorf("%+v %v", r, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "certificates", "*request*")); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

func FuzzInstall(f *testing.F) {
	root, key := newCA(f, "Root", nil), ecdsaKey(f)
	leaf := root.leaf(f, key.Public())
	f.Add(text(f, leaf, root.certificate), text(f, key))
	f.Add(text(f, leaf, key), "")
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "-----BEGIN EC PARAMETERS-----")
	c := open(f, f.TempDir())
	f.Fuzz(func(t *testing.T, chain, key string) {
		one, err := c.InstallCertificate(chain, menu.SecretText(key))
		if err == nil && len(c.CheckCertificates(config.Document{config.Certificate: one.Setting}, nil)) > 0 {
			t.Errorf("%q can be installed and not committed", chain)
		}
	})
}
