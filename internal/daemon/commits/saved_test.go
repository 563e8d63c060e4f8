package commits

import (
	"strings"
	"testing"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/test/netconftest"
)

func TestSavedConfigurations(t *testing.T) {
	d := start(t, t.TempDir(), netconftest.NewFake())
	loads(t, d, anna, "hostname: saved\n")
	commits(t, d, anna, config.Request{})
	if s, err := d.SaveConfiguration("mine", false); err != nil || s.Name != "mine.yaml" || s.Bytes == 0 {
		t.Fatal(s, err)
	}
	if s, err := d.SaveConfiguration("", false); err != nil || !strings.HasPrefix(s.Name, "saved-20") {
		t.Fatal(s, err)
	}
	if _, err := d.SaveConfiguration("mine.yaml", false); err == nil || !strings.Contains(err.Error(), "There is mine.yaml of ") {
		t.Errorf("a file is replaced unasked: %v", err)
	}
	if _, err := d.SaveConfiguration("mine.yaml", true); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"../users", ".hidden", "a/b", strings.Repeat("x", 65), "a\nb"} {
		if _, err := d.SaveConfiguration(name, false); menu.AsError(err) == nil || menu.AsError(err).Argument != "name" {
			t.Errorf("saved as %q: %v", name, err)
		}
		if err := d.LoadSaved(anna, name); menu.AsError(err) == nil || menu.AsError(err).Code != menu.NotFound {
			t.Errorf("loaded %q: %v", name, err)
		}
	}
	if err := d.ResetConfiguration(anna); err != nil {
		t.Fatal(err)
	}
	commits(t, d, anna, config.Request{})
	if d.Hostname() != "mx1" {
		t.Errorf("reset, the host is %s", d.Hostname())
	}
	if err := d.LoadSaved(anna, "mine"); err != nil {
		t.Fatal(err)
	}
	if v := d.Configuration(anna); len(v.Changes) != 1 || v.Candidate[config.Hostname] != "saved" {
		t.Errorf("loaded is %+v", v)
	}
	list, err := d.SavedConfigurations()
	if err != nil || len(list) != 2 || list[0].Name != "mine.yaml" {
		t.Errorf("saved are %+v, %v", list, err)
	}
}
