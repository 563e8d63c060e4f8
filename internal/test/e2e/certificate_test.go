package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/test/acmeca"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/vt"
)

// openssl runs openssl in a folder; it must succeed.
func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("openssl", args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// shown is what openssl sees of the certificate of HTTPS.
func (b *bed) shown(ca string) (out string) {
	b.t.Helper()
	b.ns.Do(b.t, func() {
		out = openssl(b.t, ca, "s_client", "-connect", strings.TrimPrefix(b.URL(), "https://"), "-CAfile", "ca.pem", "-servername", "mx1.example.com")
	})
	return out
}

// A certificate as administrators get one: the request by SSH, a CA that is openssl's, install and
// commit by SSH; the next handshake has it, and nobody is thrown out. A key that came along is in no
// log, no history and no document.
func TestCertificateOfACA(t *testing.T) {
	b := newBed(t)
	ca := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(ca, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl(t, ca, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "300")
	if out := b.shown(ca); strings.Contains(out, "Verification: OK") || !strings.Contains(out, "s:CN = "+appliance.Host) {
		t.Errorf("at first openssl sees\n%s", out)
	}
	open := b.window("op", "mx1> ")
	open.Look(func(s *vt.Screen) {
		if shown := strings.Join(s.Rows(), "\n"); !strings.Contains(shown, "Certificate of HTTPS: SHA256 "+b.Fingerprint()) {
			t.Errorf("the greeting does not tell the fingerprint:\n%s", shown)
		}
	})
	page := b.Web("admin")
	if r := page.Get("/"); r.Header.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS with a certificate that signs itself")
	}

	var r access.CertificateRequest
	b.Ask("admin", "certificate request", `{"names":"mx1.example.com"}`, &r)
	write("request", string(r.PEM))
	openssl(t, ca, "req", "-in", "request", "-verify", "-noout")
	openssl(t, ca, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy", "-days", "200", "-out", "cert")
	install := func(text string) {
		t.Helper()
		if r := b.Exec(text, "ssh", append(b.OpenSSH("admin"), "certificate install")...); r.Status != 0 {
			t.Fatalf("install: %+v", r)
		}
		b.do("admin", "commit confirm 5")
		b.do("admin", "commit")
	}
	install(string(read(t, filepath.Join(ca, "cert"))))
	if out := b.shown(ca); !strings.Contains(out, "Verification: OK") {
		t.Errorf("openssl sees\n%s", out)
	}
	if r := page.Get("/v1/login"); r.Status != 200 {
		t.Errorf("the page's session: %d", r.Status)
	}
	if got := open.says("whoami", "mx1> "); !strings.HasPrefix(got, "User:    op\n") {
		t.Errorf("the session that was open says %q", got)
	}

	// One that was made elsewhere comes with its key.
	openssl(t, ca, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-out", "other.csr", "-subj", "/CN=mx1", "-addext", "subjectAltName=DNS:mx1.example.com")
	openssl(t, ca, "x509", "-req", "-in", "other.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copy", "-days", "200", "-out", "other")
	key := string(read(t, filepath.Join(ca, "other.key")))
	install(string(read(t, filepath.Join(ca, "other"))) + string(read(t, filepath.Join(ca, "ca.pem"))) + key)
	if out := b.shown(ca); !strings.Contains(out, "Verification: OK") || !strings.Contains(out, "a:PKEY: rsaEncryption, 2048") {
		t.Errorf("openssl sees\n%s", out)
	}
	if _, err := b.HTTPS().Open(t.Context(), "GET", "/", nil); err == nil {
		t.Error("a client that trusts the first fingerprint takes the new certificate")
	}
	address := strings.TrimPrefix(b.URL(), "https://")
	_, port, _ := strings.Cut(address, ":")
	if r := b.Exec("", "curl", "-sI", "--cacert", filepath.Join(ca, "ca.pem"), "--connect-to", "::"+address, "https://mx1.example.com:"+port+"/"); r.Status != 0 ||
		!strings.Contains(strings.ToLower(r.Out), "strict-transport-security: ") {
		t.Errorf("HSTS with a certificate of a CA: %+v", r)
	}
	b.do("admin", "saveconfig all")
	b.leaks(key)

	// What was committed is shown after the appliance was killed.
	b.Kill()
	b.Restart()
	if out := b.shown(ca); !strings.Contains(out, "Verification: OK") {
		t.Errorf("after a restart openssl sees\n%s", out)
	}
}

// leaks looks for a line of a private key wherever the appliance writes, beside its own place.
func (b *bed) leaks(key string) {
	b.t.Helper()
	secret := strings.Split(key, "\n")[1] // the first line of its content
	err := filepath.WalkDir(b.Data, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Base(path) == "certificates" {
			return filepath.SkipDir
		}
		if e.Type().IsRegular() && strings.Contains(string(read(b.t, path)), secret) {
			b.t.Errorf("the key is in %s", path)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, line := range []string{"showconfig --json", "showchanges", "commitdetail --json", "auditlog count 100 --json", "certificate show --json", "tail appliance count 1000 follow no --json"} {
		if r := b.Exec("", "ssh", append(b.OpenSSH("admin"), line)...); strings.Contains(r.Out+r.Err, secret) {
			b.t.Errorf("%s shows the key", line)
		}
	}
}

// A real CA that speaks ACME looks at the port of HTTPS, which is another process than the one that
// asks it and has the key, and gives a certificate. Who has no name there sees no challenge.
func TestCertificateByACME(t *testing.T) {
	b := &bed{Appliance: appliance.Start(t, appliance.Options{}), t: t}
	address := strings.TrimPrefix(b.URL(), "https://")
	_, port, _ := strings.Cut(address, ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	ca := acmeca.Start(t, number, 7200)
	b.do("admin", "certificate acme "+ca.Directory+" mx1.example.com authority '"+ca.Authority+"'")
	b.do("admin", "commit")
	var now access.Certificates
	await.Until(t, "the CA to give a certificate", func() bool {
		now = access.Certificates{}
		b.Ask("ro", "certificate show", "{}", &now)
		return now.ACME != nil && now.ACME.LastTry != nil
	})
	if now.ACME.State != "valid" || now.Present.Origin != access.ByACME {
		t.Fatalf("%+v", now.ACME)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "root.pem"), []byte(ca.Root), 0o600); err != nil {
		t.Fatal(err)
	}
	client := []string{"s_client", "-connect", address, "-CAfile", "root.pem", "-verify_return_error", "-verify_hostname", "mx1.example.com", "-servername", "mx1.example.com"}
	if out := openssl(t, folder, client...); !strings.Contains(out, "Verification: OK") {
		t.Errorf("openssl sees\n%s", out)
	}
	challenge := exec.Command("openssl", append(client, "-alpn", "acme-tls/1")...)
	challenge.Dir = folder
	if out, err := challenge.CombinedOutput(); err == nil {
		t.Errorf("a challenge is shown after its time:\n%s", out)
	}
	if out := b.do("admin", "auditlog count 100"); !strings.Contains(out, "The CA gave a certificate; its fingerprint is SHA256 "+now.Present.Fingerprint) {
		t.Errorf("the audit log is\n%s", out)
	}
	var stored struct{ Key string }
	if err := json.Unmarshal(read(t, filepath.Join(b.Data, "certificates", "acme.json")), &stored); err != nil {
		t.Fatal(err)
	}
	b.leaks(stored.Key)
}
