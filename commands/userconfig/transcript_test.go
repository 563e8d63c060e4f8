package userconfig_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/signin"
	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{"signin-radius": {Config: withRADIUS}})
}

// withRADIUS starts a server of RADIUS in the network, and returns the configuration that asks it.
func withRADIUS(t testing.TB, network *netnstest.Namespace) string {
	var server *signin.RADIUS
	network.Do(t, func() { server = signin.NewRADIUSAt(t, 1812, true) })
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(server.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`signIn:
  radius:
    servers: ["%s"]
    secretFile: %s
    attribute: Filter-Id
    roles: {netops: operator}
`, server.Address, secret)
}
