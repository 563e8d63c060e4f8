package automation_test

import (
	"testing"

	"diagsh/internal/test/transcript"
)

// TestReadmeSession holds the session of the README to what the appliance shows.
func TestReadmeSession(t *testing.T) {
	transcript.Page(t, "../../../README.md", "admin", "diagsh 0.1.0")
}
