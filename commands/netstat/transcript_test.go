package netstat_test

import (
	"testing"

	"diagsh/internal/transcript"
)

func TestTranscripts(t *testing.T) { transcript.Run(t, "testdata") }
