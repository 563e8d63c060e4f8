package sysctl

import (
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
)

// A key, which not everybody may read, is not among the settings; a dot in the name of an interface is
// a slash.
func TestSettings(t *testing.T) {
	root := fstest.MapFS{
		"net/ipv4/conf/eth0.100/forwarding": {Data: []byte("1\n"), Mode: 0o644},
		"net/ipv4/ip_local_port_range":      {Data: []byte("32768\t60999\n"), Mode: 0o644},
		"net/ipv4/route/flush":              {Data: []byte("1\n"), Mode: 0o200},
		"net/ipv4/tcp_fastopen_key":         {Data: []byte("secret\n"), Mode: 0o600},
		"kernel/hostname":                   {Data: []byte("mx1\n"), Mode: 0o644},
	}
	got := map[string]string{}
	if err := each(t.Context(), root, func(s Setting) error {
		got[s.Name] = s.Value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["net.ipv4.conf.eth0/100.forwarding"] != "1" || got["net.ipv4.ip_local_port_range"] != "32768 60999" {
		t.Errorf("the settings are %q", got)
	}
}

// The settings are those that sysctl shows, with its values.
func TestSettingsAreThoseOfSysctl(t *testing.T) {
	out, err := exec.Command("sysctl", "-a", "-r", `^net\.`).Output() // refused settings make its status 1
	if len(out) == 0 {
		t.Fatalf("sysctl, of procps: %v", err)
	}
	theirs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), " ="); ok {
			theirs[name] = strings.ReplaceAll(strings.TrimPrefix(value, " "), "\t", " ")
		}
	}
	n := 0
	if err := Each(t.Context(), func(s Setting) error {
		value, there := theirs[s.Name]
		changes := strings.Contains(s.Name, "conntrack_count") || strings.Contains(s.Value, "\n")
		if n++; !there || value != s.Value && !changes {
			t.Errorf("%s is %q, for sysctl %q, %t", s.Name, s.Value, value, there)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n < 100 {
		t.Errorf("there are %d settings", n)
	}
}
