package diagnostic_test

import (
	"testing"

	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{"services-systemd": {Systemd: true}})
}
