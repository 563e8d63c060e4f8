package e2e_test

import "testing"

// A name that is committed stands in the next prompt of whoever commits it, and of everybody else
// who is logged in.
func TestPromptFollowsTheName(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	other, own := b.Terminal("ro", 100, 30), b.Terminal("admin", 100, 30)
	other.Prompted("mx1> ")
	own.Says("mx1> ", "sethostname mx9.lab.example")
	own.Prompted("mx1> ") // it is pending still
	own.Says("mx1> ", "commit comment renamed", "mx9.lab.example> ")
	other.Type("\r")
	other.Prompted("mx9.lab.example> ")
	other.Says("mx9.lab.example> ", "hostname")
}
