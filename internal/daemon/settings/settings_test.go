package settings

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"diagsh/internal/config"
)

// What is committed goes before the file, and the file holds again where nothing is committed any
// more.
func TestApply(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "banner"), "of the file\n")
	write(t, filepath.Join(dir, "config.yaml"), "hostname: file\nidleTimeout: 5m\nbannerFile: "+filepath.Join(dir, "banner")+"\n")
	s, err := open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when, hostname, banner, welcome string, idle time.Duration) {
		t.Helper()
		got := fmt.Sprintf("%q %q %q %v", s.Hostname(), s.Banner(), s.Welcome(), s.IdleTimeout())
		if want := fmt.Sprintf("%q %q %q %v", hostname, banner, welcome, idle); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	check("at first", "file", "of the file\n", "", 5*time.Minute)
	s.Apply(config.Document{config.Hostname: "committed", config.Banner: "of the commit", config.Welcome: "hello", config.IdleTimeout: "0"})
	check("committed", "committed", "of the commit", "hello", 0)
	s.Apply(config.Document{config.Welcome: "hello again"})
	check("committed in part", "file", "of the file\n", "hello again", 5*time.Minute)
}

// The name that the appliance is started with goes before that of the file.
func TestHostnameOfTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), "hostname: file\nmanagementPorts: [22]\n")
	s, err := open(Options{Dir: dir, Hostname: "started", ManagementPorts: []uint16{2222}})
	if err != nil || s.Hostname() != "started" || fmt.Sprint(s.ManagementPorts()) != "[22 2222]" {
		t.Errorf("%v %v", s, err)
	}
}
