package network_test

import (
	"testing"

	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata",
		map[string]transcript.Scene{"smtpping": mailScene, "smtpping-strangers": strangersScene})
}
