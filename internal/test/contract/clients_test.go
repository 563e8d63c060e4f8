package contract

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// A program is an appliance and what a client of its API is given.
type program struct {
	document, url, token, fingerprint, certificate string
}

// newProgram starts an appliance with a token for a client.
func newProgram(t *testing.T) program {
	t.Helper()
	a := appliance.Start(t, appliance.Options{})
	_, document := documentOf(t, a)
	var made struct{ Secret string }
	if err := a.Web("op").Run("token new", map[string]string{"name": "client"}).JSON(&made); err != nil || made.Secret == "" {
		t.Fatalf("a new token is %+v: %v", made, err)
	}
	p := program{document: document, url: a.URL(), token: made.Secret,
		fingerprint: strings.ToLower(strings.ReplaceAll(a.Fingerprint(), ":", ""))}
	config := a.TLS()
	known := config.VerifyConnection
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if err := known(s); err != nil {
			return err
		}
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.PeerCertificates[0].Raw})
		p.certificate = filepath.Join(filepath.Dir(document), "certificate.pem")
		return os.WriteFile(p.certificate, block, 0o600)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	response, err := client.Get(p.url + "/v1/login/methods")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return p
}

// run runs a program in a folder, and returns what it prints.
func run(t *testing.T, folder, name string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// copyTo copies files of testdata into a folder, without the ending that hides them from the build.
func copyTo(t *testing.T, folder string, files ...string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, strings.TrimSuffix(filepath.Base(file), ".txt")), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestGoClient: a client in Go that oapi-codegen makes of the document runs a capture from start to
// download, over HTTPS with a token.
func TestGoClient(t *testing.T) {
	t.Parallel()
	p, folder := newProgram(t), t.TempDir()
	copyTo(t, folder, "go/main.go.txt", "go/go.mod.txt", "go/go.sum.txt")
	run(t, folder, "go", nil, "tool", "oapi-codegen", "-generate", "types,client", "-package", "main", "-o", "client.go", p.document)
	run(t, folder, "go", nil, "build", "-o", "client", ".")
	if out := run(t, folder, "./client", nil, p.url, p.token, p.fingerprint); out != "6 packets\n" {
		t.Errorf("the client says %q", out)
	}
}

// TestTypeScriptClient: the same with the types that openapi-typescript makes of the document.
func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	p, folder := newProgram(t), t.TempDir()
	node := netnstest.Tool(t, "node")
	copyTo(t, folder, "ts/client.ts")
	tool(t, "openapi-fetch/package.json")
	tool(t, "@types/node/package.json")
	if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(nodeModules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run(t, folder, node, nil, tool(t, "openapi-typescript/bin/cli.js"), p.document, "-o", "schema.d.ts")
	run(t, folder, node, nil, tool(t, "typescript/bin/tsc"), "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node",
		"--skipLibCheck", "client.ts")
	if out := run(t, folder, node, []string{"NODE_EXTRA_CA_CERTS=" + p.certificate}, "client.js", p.url, p.token); out != "6 packets\n" {
		t.Errorf("the client says %q", out)
	}
}
