package copies_test

import (
	"testing"

	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) { transcript.Run(t, "testdata", nil) }
