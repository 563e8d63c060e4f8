package portlog_test

import (
	"testing"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

// Records are those of a log that was there before. Without eBPF each machine says the same of how it sees sockets.
func TestTranscripts(t *testing.T) {
	earlier := transcript.Scene{Captures: []string{"testdata/lab-portlog-20261130-120000.ndjson"}}
	transcript.Run(t, "testdata", map[string]transcript.Scene{
		"show": earlier, "report": earlier,
		"": {Config: func(testing.TB, *netnstest.Namespace) string { return "ports: {tier: C}\n" }},
	})
}
