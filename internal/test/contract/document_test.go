// Package contract holds the running appliance to openapi.json: other people's validators accept the
// document, every command's live answer is as it says, and clients that are generated from it work.
package contract

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// nodeModules is where internal/test/packages.sh puts what is no Debian package.
const nodeModules = "/var/cache/diagsh-tests/node/node_modules"

// documentOf returns openapi.json of a running appliance, and the file that it is in.
func documentOf(t *testing.T, a *appliance.Appliance) (document *openapi3.T, file string) {
	t.Helper()
	status, text := a.API("ro", http.MethodGet, "/v1/openapi.json", "")
	if status != http.StatusOK {
		t.Fatalf("openapi.json: %d %s", status, text)
	}
	file = filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return document, file
}

// TestValidators: two validators, of people who do not know each other, accept the document.
func TestValidators(t *testing.T) {
	t.Parallel()
	document, file := documentOf(t, appliance.Start(t, appliance.Options{}))
	if err := document.Validate(t.Context()); err != nil {
		t.Errorf("kin-openapi: %v", err)
	}
	redocly := tool(t, "@redocly/cli/bin/cli.js")
	cmd := exec.Command(netnstest.Tool(t, "node"), redocly, "lint", "--extends=minimal", "--format=codeframe", file)
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("redocly: %v\n%s", err, out)
	}
}

// tool returns the path of a file of an npm package that the tests need.
func tool(t *testing.T, file string) string {
	t.Helper()
	path := filepath.Join(nodeModules, file)
	if _, err := os.Stat(path); err != nil {
		netnstest.Missing(t, path+" is not there; internal/test/packages.sh installs it")
	}
	return path
}
