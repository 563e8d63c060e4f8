package token

import (
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
)

// A token that was used, and is bound to networks, is listed with its name: people delete by it.
func TestTheNameStaysInTheTable(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 15, 0, 0, time.UTC)
	var b strings.Builder
	tokenTable(&b, []access.Token{{ID: "ygqa4327", Name: "nightly", User: "admin", Role: "administrator", Expires: at, LastUsed: &at,
		LastFrom: "127.0.0.1", Sources: []string{"127.0.0.1/32", "::1/128"}}})
	if !strings.Contains(b.String(), "nightly") {
		t.Errorf("no name in\n%s", b.String())
	}
}
