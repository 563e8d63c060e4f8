package certificates

import (
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// The first start makes a certificate for all names and addresses of the host, and later ones keep
// it.
func TestMadeOnce(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	chain, fromCA := c.Chain()
	if len(chain) != 1 || fromCA {
		t.Fatalf("%d certificates, from a CA: %v", len(chain), fromCA)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Subject.CommonName != "mx1.example.com" || leaf.IsCA {
		t.Errorf("it is of %s, a CA: %v", leaf.Subject, leaf.IsCA)
	}
	want := []string{"mx1.example.com", "localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		want = append(want, name)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		want = append(want, a.(*net.IPNet).IP.String())
	}
	for _, name := range want {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		if err := leaf.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := leaf.NotAfter.Sub(leaf.NotBefore) + time.Second; d != lifetime {
		t.Errorf("it lasts %v", d)
	}
	if begun := time.Since(leaf.NotBefore); begun < early || begun > early+time.Minute {
		t.Errorf("it has begun %v ago", begun)
	}
	path := filepath.Join(dir, "certificates", "own.json")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	again := open(t, dir)
	if again.CertificateFingerprint() != c.CertificateFingerprint() {
		t.Error("the second start has another certificate")
	}
	// openssl reads what it is.
	der := filepath.Join(t.TempDir(), "certificate")
	if err := os.WriteFile(der, chain[0], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(netnstest.Tool(t, "openssl"), "x509", "-inform", "DER", "-in", der, "-noout", "-fingerprint",
		"-sha256", "-ext", "basicConstraints,extendedKeyUsage", "-subject").CombinedOutput()
	for _, line := range []string{"Fingerprint=" + c.CertificateFingerprint(), "CA:FALSE", "TLS Web Server Authentication",
		"CN = mx1.example.com"} {
		if err != nil || !strings.Contains(string(out), line) {
			t.Errorf("openssl does not say %q (%v):\n%s", line, err, out)
		}
	}
}

func TestNamesOfHosts(t *testing.T) {
	file := "127.0.0.1 localhost\n127.0.1.1\tmail.Example.com mx1 # own\nnonsense mx1 other\n192.0.2.1 mx2 mail2\n"
	if got := strings.Join(alsoCalled(strings.NewReader(file), []string{"MX1"}), " "); got != "mail.Example.com mx1" {
		t.Errorf("the names are %q", got)
	}
	for name, good := range map[string]bool{"mx1": true, "a_b.c-d": true, "": false, "a..b": false, "ä": false, "a b": false,
		strings.Repeat("x", 64): false} {
		if isDNSName(name) != good {
			t.Errorf("%q", name)
		}
	}
	var many []net.Addr
	for n := range 100 {
		many = append(many, &net.IPNet{IP: net.ParseIP("fe80::1").To16()}, &net.IPNet{IP: net.IPv4(10, 0, 0, byte(n))})
	}
	list := hostAddresses(many)
	if len(list) != mostAddresses || list[0] != netip.MustParseAddr("10.0.0.0") || !slices.Contains(list, netip.MustParseAddr("::1")) {
		t.Errorf("%d addresses: %v", len(list), list)
	}
}

// What was stored cannot be used: the appliance is reached all the same, and says so.
func TestMakeshift(t *testing.T) {
	other := t.TempDir()
	open(t, other)
	good, err := os.ReadFile(filepath.Join(other, "certificates", "own.json"))
	if err != nil {
		t.Fatal(err)
	}
	key := string(good[strings.Index(string(good), "-----BEGIN PRIVATE"):])
	for name, text := range map[string]string{
		"no JSON":              "garbage",
		"newer":                `{"version":2}`,
		"no certificate":       `{"version":1}`,
		"no key":               strings.Replace(string(good), "BEGIN PRIVATE", "BEGIN", 1),
		"no certificate in it": strings.Replace(string(good), "BEGIN CERTIFICATE-----\\n", "BEGIN CERTIFICATE-----\\nAAAA", 1),
		"other key":            "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "certificates", "own.json")
			open(t, dir)
			if text == "" {
				mine, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				text = string(mine[:strings.Index(string(mine), "-----BEGIN PRIVATE")]) + key
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := open(t, dir)
			c.wantMakeshift(t)
			if now, err := os.ReadFile(path); err != nil || string(now) != text {
				t.Errorf("what is to be looked into has changed: %v", err)
			}
		})
	}
}

// wantMakeshift wants a certificate that works, and that who can help is told.
func (b *bed) wantMakeshift(t *testing.T) {
	t.Helper()
	if chain, fromCA := b.Chain(); len(chain) != 1 || fromCA {
		t.Errorf("%d certificates, from a CA: %v", len(chain), fromCA)
	}
	b.ApplyCertificates(nil)
	if !strings.Contains(b.logged(), "level=ERROR") || !strings.Contains(b.logged(), b.CertificateFingerprint()) {
		t.Errorf("the log is %q", b.logged())
	}
	if text := b.Notice(roomtest.Admin); !strings.Contains(text, "makeshift") {
		t.Errorf("administrators are told %q", text)
	}
	if text := b.Notice(menu.Caller{Role: menu.Operator}); text != "" {
		t.Errorf("operators are told %q", text)
	}
}

// A full disk keeps no user out: the next start with room makes the certificate that stays.
func TestMadeOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	disk := disktest.Tmpfs(t, dir, "256k")
	file, stop := disk.Fill()
	open(t, dir).wantMakeshift(t)
	stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir)
	if c.Notice(roomtest.Admin) != "" || open(t, dir).CertificateFingerprint() != c.CertificateFingerprint() {
		t.Errorf("with room again: %q", c.logged())
	}
}

// The appliance's own certificate is made anew 30 days before its end, and if its clock turns out
// to have been wrong when it was made; a disk that is full then lets the old one be.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	disk := disktest.Tmpfs(t, dir, "256k")
	c := open(t, dir)
	first := c.CertificateFingerprint()
	made := c.present.Load().leaf
	c.Sweep(made.NotAfter.Add(-renewBefore))
	if c.CertificateFingerprint() != first {
		t.Fatal("it was renewed too early")
	}
	soon := made.NotAfter.Add(-renewBefore + time.Second)
	file, stop := disk.Fill()
	c.Sweep(soon)
	if c.CertificateFingerprint() != first || !strings.Contains(c.logged(), "could not be renewed") {
		t.Fatalf("on a full disk: %q", c.logged())
	}
	stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.Sweep(soon.Add(renewEvery - time.Second))
	if c.CertificateFingerprint() != first {
		t.Error("it is tried all the time")
	}
	c.rest = c.rest.Add(24 * time.Hour) // as where the clock was put back
	c.Sweep(soon.Add(renewEvery))
	second := c.CertificateFingerprint()
	if second == first || len(c.audited) != 1 || !strings.Contains(c.audited[0], second) {
		t.Fatalf("the audit log is %q", c.audited)
	}
	if again := open(t, dir); again.CertificateFingerprint() != second {
		t.Error("the renewed one does not outlive a restart")
	}
	if now := c.present.Load().leaf; !now.NotAfter.After(made.NotAfter) || !slices.Equal(now.DNSNames, made.DNSNames) {
		t.Errorf("it ends at %v and is of %q", now.NotAfter, now.DNSNames)
	}
	c.Sweep(made.NotBefore.Add(-24 * time.Hour))
	if third := c.CertificateFingerprint(); third == second || len(c.audited) != 2 {
		t.Errorf("one of the future stays")
	}
}
