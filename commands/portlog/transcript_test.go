package portlog_test

import (
	"testing"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

// Without eBPF each machine says the same of how it sees sockets.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{
		"": {Config: func(testing.TB, *netnstest.Namespace) string { return "ports: {tier: C}\n" }},
	})
}
