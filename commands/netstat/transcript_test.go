package netstat_test

import (
	"os/exec"
	"testing"

	"diagsh/internal/netnstest"
	"diagsh/internal/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{"altnames": {Setup: altname}})
}

// altname gives eth1 another name beside its own.
func altname(t testing.TB, ns *netnstest.Namespace) {
	ns.Do(t, func() {
		if out, err := exec.Command(netnstest.Tool(t, "ip"), "link", "property", "add", "dev", "eth1", "altname", "enxontheothersideofit").CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	})
}
