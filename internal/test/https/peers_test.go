package https_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// openssl speaks TLS 1.2 and 1.3 with the appliance, and no older version; it sees the fingerprint that
// the appliance prints, greets with and has in version.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	openssl := netnstest.Tool(t, "openssl")
	a := appliance.Start(t, appliance.Options{})
	address := strings.TrimPrefix(a.URL(), "https://")
	for version, want := range map[string]string{
		"-tls1": "alert protocol version", "-tls1_1": "alert protocol version",
		"-tls1_2": "New, TLSv1.2, Cipher is ECDHE-", "-tls1_3": "New, TLSv1.3, Cipher is TLS_",
	} {
		// Security level 0: else openssl itself refuses the old ones.
		r := a.Exec("", openssl, "s_client", "-connect", address, version, "-cipher", "ALL:@SECLEVEL=0", "-alpn", "h2")
		if said := r.Out + r.Err; !strings.Contains(said, want) {
			t.Errorf("%s: %s", version, said)
		} else if strings.HasPrefix(want, "New") && !strings.Contains(said, "ALPN protocol: h2") {
			t.Errorf("%s: no HTTP/2: %s", version, said)
		}
	}
	shown := a.Exec("", openssl, "s_client", "-connect", address)
	r := a.Exec(shown.Out, openssl, "x509", "-noout", "-fingerprint", "-sha256")
	if !strings.Contains(strings.ToLower(r.Out), strings.ToLower(a.Fingerprint())) {
		t.Errorf("the fingerprint is %q, not %s", r.Out, a.Fingerprint())
	}
	if r = a.SSH("ro", "version"); !strings.Contains(strings.Join(strings.Fields(r.Out), ""), "SHA256"+a.Fingerprint()) {
		t.Errorf("version does not have the fingerprint %s: %s", a.Fingerprint(), r.Out)
	}
	a.Terminal("ro", 132, 40).Reads("Certificate of HTTPS: SHA256 " + a.Fingerprint())
	// Neither resumes a session nor renegotiates to get past anything: SHA-1 and RSA key exchange are no
	// choice.
	r = a.Exec("", openssl, "s_client", "-connect", address, "-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0")
	if !strings.Contains(r.Out+r.Err, "handshake failure") {
		t.Errorf("a suite without forward secrecy: %s %s", r.Out, r.Err)
	}
}

// curl with the certificate that the appliance shows, by both versions of HTTP: a login with a cookie, a
// command, a token, a download, and an interrupted stream.
func TestCurl(t *testing.T) {
	t.Parallel()
	netnstest.Tool(t, "curl")
	a := appliance.Start(t, appliance.Options{})
	dir := t.TempDir()
	certificate, jar := filepath.Join(dir, "appliance.pem"), filepath.Join(dir, "jar")
	shown := a.Exec("", netnstest.Tool(t, "openssl"), "s_client", "-connect", strings.TrimPrefix(a.URL(), "https://"))
	pem := shown.Out[strings.Index(shown.Out, "-----BEGIN"):]
	if err := os.WriteFile(certificate, []byte(pem[:strings.Index(pem, "-----END CERTIFICATE-----")+26]), 0o600); err != nil {
		t.Fatal(err)
	}
	curl := func(words ...string) string {
		t.Helper()
		words = append([]string{"--silent", "--show-error", "--cacert", certificate, "--cookie", jar, "--cookie-jar", jar}, words...)
		r := a.Exec("", "curl", words...)
		if r.Status != 0 {
			t.Errorf("curl %q: %d %s", words, r.Status, r.Err)
		}
		return r.Out
	}
	contains := func(what, got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q, without %q", what, got, want)
		}
	}
	json := []string{"--header", "Content-Type: application/json", "--data"}
	contains("the page", curl(a.URL()+"/"), "<!doctype html")
	contains("before the login", curl("--write-out", "%{http_code}", a.URL()+"/v1/tree"), "401")
	login := append(json, `{"user":"op","password":"`+appliance.Password("op")+`"}`, a.URL()+"/v1/login")
	contains("the login", curl(login...), `"role":"operator"`)
	for _, version := range []string{"--http1.1", "--http2"} {
		run := append([]string{version}, append(json, "{}", a.URL()+"/v1/run/whoami")...)
		contains(version, curl(run...), `"user":"op"`)
	}
	contains("a form", curl("--data", "a=b", "--write-out", "%{http_code}", a.URL()+"/v1/run/whoami"), "415")
	token := append(json, `{"name":"curl","paths":["whoami"]}`, a.URL()+"/v1/run/token/new")
	made := curl(token...)
	_, secret, _ := strings.Cut(made, `"secret":"`)
	secret, _, _ = strings.Cut(secret, `"`)
	contains("the token", secret, "dsh_")
	bearer := exec.Command("curl", "--silent", "--cacert", certificate, "--header", "Authorization: Bearer "+secret, "--header", "Content-Type: application/json", "--data", "{}", a.URL()+"/v1/run/whoami")
	if out, err := bearer.CombinedOutput(); err != nil || !strings.Contains(string(out), `"user":"op"`) {
		t.Errorf("with the token: %s, %v", out, err)
	}
	contains("what the token may not", a.Exec("", "curl", "--silent", "--cacert", certificate, "--write-out", "%{http_code}",
		"--header", "Authorization: Bearer "+secret, "--header", "Content-Type: application/json", "--data", "{}", a.URL()+"/v1/run/who").Out, "403")
	contains("a stream", curl(append(json, `{"every":1,"count":2}`, a.URL()+"/v1/run/netstat/traffic")...), "\n{")
	contains("the logout", curl("--request", "DELETE", "--write-out", "%{http_code}", a.URL()+"/v1/login"), "204")
	contains("after the logout", curl("--write-out", "%{http_code}", a.URL()+"/v1/login"), "401")
	contains("without TLS", a.Exec("", "curl", "--silent", "http"+strings.TrimPrefix(a.URL(), "https")+"/").Out, "HTTPS")
}

// curl gets the whole answer to a body that is refused before its end, by both versions of HTTP. By
// HTTP/2 it lost every third one when the stream was reset behind the answer.
func TestRefusedBodiesReachCurl(t *testing.T) {
	t.Parallel()
	curl := netnstest.Tool(t, "curl")
	a := appliance.Start(t, appliance.Options{})
	dir := t.TempDir()
	for name, size := range map[string]int{"little more": 1<<20 + 50_000, "much more": 30 << 20} {
		file := filepath.Join(dir, "body")
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		for n := range 13 {
			version := "--http2"
			if n == 0 {
				version = "--http1.1"
			}
			r := a.Exec("", curl, "--silent", "--show-error", "--insecure", version, "--max-time", "20", "-H", "Content-Type: application/json",
				"--data-binary", "@"+file, a.URL()+"/v1/login")
			if r.Status != 0 || !strings.Contains(r.Out, "/v1/problems/tooLarge") {
				t.Errorf("%s than fits, %s: %d %q %s", name, version, r.Status, r.Out, r.Err)
			}
		}
	}
}
