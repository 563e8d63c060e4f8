package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/diag/services"
	"diagsh/internal/menu"
)

// TestVendorsCatalogue adds to the catalogue, at once, and names the fault of a file that is not
// right.
func TestVendorsCatalogue(t *testing.T) {
	folder := t.TempDir()
	d := &Daemon{}
	if err := d.openServices(Options{Dir: "elsewhere", ConfigFile: filepath.Join(folder, "config.yaml"),
		ServiceCatalogue: []byte("services: [{name: sshd, description: The SSH daemon, system: true}]")}); err != nil {
		t.Fatal(err)
	}
	look := func() services.Catalogue {
		t.Helper()
		c, err := d.Services()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := look(); len(c) != 1 {
		t.Errorf("%+v", c)
	}
	file := filepath.Join(folder, "services.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("services: [{name: hermes, description: MGA mail server}]")
	if c := look(); len(c) != 2 || c.Of("hermes") == nil || c.Of("sshd") == nil {
		t.Errorf("%+v", c)
	}
	write("services:\n- name: hermes\n  colour: red\n")
	_, err := d.Services()
	if e := menu.AsError(err); err == nil || !strings.Contains(e.Message, "line 3") || strings.Contains(e.Error(), folder) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if c := look(); len(c) != 1 {
		t.Errorf("%+v", c)
	}
}
