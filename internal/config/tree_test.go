package config

import (
	"encoding/json"
	"maps"
	"testing"
)

// A document in JSON is the text of the same document.
func TestTreeIsAText(t *testing.T) {
	first, _, faults := Parse([]byte("hostname: mx5\ninterfaces:\n  eth0:\n    mtu: 1400\nvlans:\n  eth0.34:\n    parent: eth0\n    id: 34\n"))
	text, err := json.Marshal(first.Tree())
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	if again, _, faults := Parse(text); len(faults) > 0 || len(first) < 3 || !maps.Equal(again, first) {
		t.Errorf("%s is read as %v, %v; want %v", text, again, faults, first)
	}
}
