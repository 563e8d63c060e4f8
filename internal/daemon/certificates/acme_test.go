package certificates

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/test/acmeca"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// ordered is a document that has a CA asked for names.
func ordered(directory, authority, names string) config.Document {
	d := config.Document{config.Certificate: config.ByACME, config.ACMEDirectory: directory, config.ACMENames: names,
		config.ACMEContact: "ops@example.com"}
	d.Set(config.ACMEAuthority, authority)
	return d
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A real CA gives a certificate after it has looked at the port of HTTPS, and gives the next one when
// two thirds of the time are over; until then, and when it fails, the present one stays.
func TestCertificateByACME(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	c.Start()
	address := c.serve(t)
	ca := acmeca.Start(t, portOf(t, address), 3600)
	root, key := newCA(t, "Root", nil), ecdsaKey(t)
	installed, err := c.InstallCertificate(text(t, root.leaf(t, key.Public()), key), "")
	if err != nil {
		t.Fatal(err)
	}
	c.holds(t, installed.Setting)
	c.wanted = nil // not even a rollback brings it back
	wanted := ordered(ca.Directory, ca.Authority, "mx1.example.com,www.mx1.example.com")
	c.ApplyCertificates(wanted)
	if s := c.CertificateStatus(); s.Present.Fingerprint != installed.Fingerprint || s.ACME == nil || s.ACME.State != "waiting" {
		t.Fatalf("before the CA has given one: %+v %+v", s.Present, s.ACME)
	}
	// A restart before the CA has given one shows the same.
	later := open(t, dir)
	later.ApplyCertificates(wanted)
	if later.CertificateFingerprint() != installed.Fingerprint {
		t.Error("a restart shows another one until the CA has given its own")
	}

	c.Sweep(time.Now())
	await.Until(t, "the CA to give a certificate", func() bool { return c.CertificateStatus().ACME.LastTry != nil })
	s := c.CertificateStatus()
	if s.ACME.State != "valid" || s.Present.Origin != access.ByACME || !s.Present.FromCA || strings.Join(s.Present.Names, " ") != "mx1.example.com www.mx1.example.com" {
		t.Fatalf("it gave %+v, %+v\n%s", s.Present, s.ACME, c.logged())
	}
	roots := t.TempDir()
	if err := os.WriteFile(filepath.Join(roots, "root.pem"), []byte(ca.Root), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := openssl(t, roots, "s_client", "-connect", address, "-CAfile", "root.pem", "-verify_return_error", "-verify_hostname", "www.mx1.example.com"); !strings.Contains(out, "Verification: OK") {
		t.Errorf("openssl sees\n%s", out)
	}
	if c.Challenge("mx1.example.com") != nil {
		t.Error("the certificate of the challenge is still shown")
	}
	if len(c.audited) != 1 || !strings.Contains(c.audited[0], s.Present.Fingerprint) {
		t.Errorf("the audit log is %q", c.audited)
	}
	c.Sweep(time.Now()) // nothing is due
	if again := open(t, dir); again.pairs[config.ByACME] == nil || again.acme.account.URL != c.acme.account.URL {
		t.Error("a restart loses the certificate or the account")
	}

	// Two thirds are over: the same account gets the next one. With the CA gone the present one stays,
	// and it is said why.
	// The CA was set up anew in the meantime and has another account by that name, or none.
	c.acme.account.URL += "0"
	if failure := c.fetch(t.Context()); failure != "" {
		t.Errorf("with an account that the CA does not know: %s", failure)
	}
	s = c.CertificateStatus()
	account := c.acme.account
	soon := time.Now().Add(41 * time.Minute)
	c.Sweep(soon)
	await.Until(t, "the CA to renew it", func() bool { return c.CertificateFingerprint() != s.Present.Fingerprint })
	if c.acme.account != account {
		t.Errorf("it has another account: %+v", c.acme.account)
	}
	second := c.CertificateFingerprint()
	ca.Stop()
	c.fetch(t.Context())
	if s := c.CertificateStatus(); s.Present.Fingerprint != second || s.ACME.State != "failed" || s.ACME.Failure != "The directory's host cannot be reached: connection refused." ||
		s.ACME.NextTry.Sub(*s.ACME.LastTry) != firstPause {
		t.Errorf("without the CA: %+v", s.ACME)
	}
	c.Sweep(soon.Add(2 * time.Hour)) // it is due, and a try is
	await.Until(t, "another try", func() bool { return c.CertificateStatus().ACME.Failures == 2 })
	audited := c.lastAudited()
	if audited != "certificate: failed: The CA gave no certificate: The directory's host cannot be reached: connection refused." {
		t.Errorf("the audit log ends with %q", audited)
	}
	if text := c.Notice(roomtest.Admin); !strings.Contains(text, "could not be renewed: The directory's host") {
		t.Errorf("administrators are told %q", text)
	}
	c.holds(t, "")
	if s := c.CertificateStatus(); s.ACME != nil || s.Present.Origin != access.SelfSigned {
		t.Errorf("without ACME there is %+v", s)
	}
}

// Why a CA gave nothing is said in a sentence, and what was shown before stays.
func TestFailuresOfACME(t *testing.T) {
	answers := func(status int, kind, text string) *httptest.Server {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			w.Write([]byte(text))
		}))
		t.Cleanup(s.Close)
		return s
	}
	c := open(t, t.TempDir())
	own := c.CertificateFingerprint()
	elsewhere := acmeca.Start(t, portOf(t, c.serve(t)), 3600)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := portOf(t, nobody.Addr().String())
	nobody.Close()
	unseen := acmeca.Start(t, closed, 3600)
	refusing := answers(403, "application/problem+json", `{"type":"urn:ietf:params:acme:error:unauthorized","detail":"Not for you"}`)
	nonsense := answers(200, "text/html", "<html>hello</html>")
	root := newCA(t, "Other", nil)
	for name, row := range map[string]struct{ directory, authority, want string }{
		"unknown authority": {elsewhere.Directory, text(t, root.certificate), "The directory's host has a certificate that the appliance does not trust"},
		"no such host":      {"https://ca.invalid/dir", "", "The name of the directory's host, ca.invalid, has no address."},
		"refused":           {refusing.URL, text(t, refusing.Certificate()), "The CA refuses: Not for you."},
		"no ACME":           {nonsense.URL, text(t, nonsense.Certificate()), "The CA's answers are not those of ACME"},
		"not seen":          {unseen.Directory, unseen.Authority, "The CA could not see that mx1.example.com is this appliance: "},
	} {
		c.ApplyCertificates(ordered(row.directory, row.authority, "mx1.example.com"))
		if failure := c.fetch(t.Context()); !strings.HasPrefix(failure, row.want) {
			t.Errorf("%s: %s\nwant %s", name, failure, row.want)
		}
		if c.CertificateFingerprint() != own || c.CertificateStatus().ACME.Failures != 1 {
			t.Errorf("%s: there is %+v", name, c.CertificateStatus().ACME)
		}
	}
}

// What was shown until a CA has given a certificate goes when the CA is not asked any more.
func TestStandInGoes(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	one, err := c.NewCertificate([]string{"a.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	c.holds(t, one.Setting)
	c.ApplyCertificates(ordered("https://127.0.0.1:1/", "", "mx1"))
	later := open(t, dir)
	later.ApplyCertificates(ordered("https://127.0.0.1:1/", "", "mx1"))
	if later.CertificateFingerprint() != one.Fingerprint {
		t.Fatal("it does not stand in")
	}
	later.ApplyCertificates(nil)
	if s := later.CertificateStatus(); s.Present.Fingerprint == one.Fingerprint || len(s.Others) > 0 {
		t.Errorf("left is %+v", s)
	}
	if again := open(t, dir); again.acme.account.StandIn != "" || len(again.pairs) != 1 {
		t.Errorf("left on the disk are %+v and %d pairs", again.acme.account, len(again.pairs))
	}
}

// What a CA gives for an order that was changed or dropped meanwhile is not taken.
func TestGivenTooLate(t *testing.T) {
	c := open(t, t.TempDir())
	root, key := newCA(t, "Root", nil), ecdsaKey(t)
	leaf := root.leaf(t, key.Public())
	given := &pair{chain: [][]byte{leaf.Raw}, leaf: leaf, key: key, origin: access.ByACME, given: []string{"mx1.example.com"}, by: "https://127.0.0.1:1/"}
	for _, now := range []config.Document{nil, ordered("https://127.0.0.1:1/", "", "mx2.example.com"), ordered("https://127.0.0.1:2/", "", "mx1.example.com")} {
		c.ApplyCertificates(now)
		if err := c.take(orderOf(now), given); err != errChanged || c.pairs[config.ByACME] != nil {
			t.Errorf("with %v: %v", now, err)
		}
	}
	c.ApplyCertificates(ordered("https://127.0.0.1:1/", "", "mx1.example.com"))
	if err := c.take(c.orders, given); err != nil || c.CertificateFingerprint() != given.fingerprint() {
		t.Errorf("what was asked for: %v", err)
	}
}

// An order is whole or cannot be committed.
func TestOrderIsWhole(t *testing.T) {
	c := open(t, t.TempDir())
	faults := c.CheckCertificates(config.Document{config.Certificate: config.ByACME}, nil)
	if len(faults) != 2 || faults[0].Path != config.ACMEDirectory || faults[1].Path != config.ACMENames {
		t.Errorf("%v", faults)
	}
	if faults := c.CheckCertificates(ordered("https://ca.example.com/", "", "mx1"), nil); len(faults) > 0 {
		t.Errorf("%v", faults)
	}
}

// A handshake that has begun ends with the key that it began with, whatever takes its place; a key
// that is shown to nobody any more signs nothing.
func TestHandshakeOverAChange(t *testing.T) {
	c := open(t, t.TempDir())
	chain, _ := c.Chain()
	old := c.distantKey(t, chain)
	one, err := c.NewCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.holds(t, one.Setting)
	if s, err := c.Sign(t.Context(), old.leaf, uint16(tls.ECDSAWithP256AndSHA256), exchange()); err != nil || s == nil {
		t.Errorf("a handshake that had begun fails: %v", err)
	}
	c.former.Store(&formerPair{c.former.Load().pair, time.Now()})
	if s, err := c.Sign(t.Context(), old.leaf, uint16(tls.ECDSAWithP256AndSHA256), exchange()); err != nil || s != nil {
		t.Errorf("a key that nobody is shown signs: %x %v", s, err)
	}
	if s, err := c.sign(t, uint16(tls.ECDSAWithP256AndSHA256), exchange()); err != nil || s == nil {
		t.Errorf("the present one does not: %v", err)
	}
}
