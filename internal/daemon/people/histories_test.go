package people

import (
	"os"
	"slices"
	"testing"
)

// A history says its version in its first line, which nobody is shown. One of the builds before gets
// it with the next line, and one of a newer build is neither shown nor written.
func TestVersionOfAHistory(t *testing.T) {
	h, err := openHistories(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(h.path("op"), []byte("ping a\nping b\n"), 0o600)
	if err := h.add("op", "ping c"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(h.path("op")); string(text) != "# diagsh history 1\nping a\nping b\nping c\n" {
		t.Errorf("the file is %q", text)
	}
	if err := h.add("op", "ping d"); err != nil {
		t.Fatal(err)
	}
	if lines := h.lines("op"); !slices.Equal(lines, []string{"ping a", "ping b", "ping c", "ping d"}) {
		t.Errorf("the lines are %q", lines)
	}
	newer := "# diagsh history 2\nping a\n"
	os.WriteFile(h.path("op"), []byte(newer), 0o600)
	if err := h.add("op", "ping e"); err == nil || h.lines("op") != nil {
		t.Errorf("a newer file: %v, %q", err, h.lines("op"))
	}
	if text, _ := os.ReadFile(h.path("op")); string(text) != newer {
		t.Errorf("a newer file became %q", text)
	}
}
