package transcript

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"diagsh/internal/menu"
)

func TestInputs(t *testing.T) {
	got := inputs(strings.Split(`mx1> packetcapture

Capture:   none running
- START - Begin a capture.
[]> st<Tab>  => start
[200]>
Delete it? [N]> y
New password> <secret a > b>
The same again> <secret>
PACKETCAPTURE > START - no prompt
mx1> say "a > b" ^C
[]>`, "\n"))
	want := []input{
		{"mx1> ", "packetcapture", false}, {"[]> ", "st<Tab>", false}, {"[200]> ", "", false}, {"Delete it? [N]> ", "y", false},
		{"New password> ", "a > b", true}, {"The same again> ", "", true}, {"mx1> ", `say "a > b" ^C`, false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestHeadings(t *testing.T) {
	for heading, ok := range map[string]bool{
		"dialogue as op": true, "line as root": true, "dialogue as op in 40x10": true,
		"dialogue": false, "talk as op": false, "dialogue by op": false, "dialogue as op in 40": false, "dialogue as op at 40x10": false,
	} {
		if _, err := parseSection(txtar.File{Name: heading}); (err == nil) != ok {
			t.Errorf("%q: %v", heading, err)
		}
	}
}

func TestNormal(t *testing.T) {
	for from, to := range map[string]string{
		"Last login: Sat Nov 21 00:23:38 2026 UTC from local":                "Last login: <time> from local",
		"Started:     2026-11-21 00:23:38 UTC by op":                         "Started:     <time> by op",
		`{"began":"2026-11-21T00:23:38.123456789Z","seconds":0.25}`:          `{"began":"<time>","seconds":<duration>}`,
		"web   running 1m30s  2026-11-21 00:23:38 UTC  0  24 B  op":          "web   running <duration>  <time>  0  <size>  op",
		"op    operator  2026-11-21 00:23 UTC  12s   127.0.0.1    exec  who": "op    operator  <time>  <duration>  127.0.0.1    exec  who",
		"File:        mx1-web-20261121-002338.pcap (1.5 KB, 3 packets)":      "File:        mx1-web-<stamp>.pcap (<size>, 3 packets)",
		"Writing:   PR-PORTS-2026-11-21T00-23-38.log":                        "Writing:   PR-PORTS-<stamp>.log",
		"Limits:      size 10MB, duration 5m, 100 packets":                   "Limits:      size 10MB, duration 5m, 100 packets",
		// A fingerprint in which a hardware address stands, and times of day.
		"SHA256 " + strings.Repeat("1C:42:10:22:34:56:12:", 4) + "0A:0B:0C:0D": "<fingerprint>",
		"Session: 7hecf3fz-1":          "Session: <session>",
		"Session: ecuu2345-1":          "Session: <session>", // which begins as a token does
		"capture-1 and 192.0.2.1 stay": "capture-1 and 192.0.2.1 stay",
		`"commit":"","go":"x"`:         `"commit":"<commit>","go":"x"`,
		"Key: ssh-ed25519 SHA256:xd/9vje8VMyglkot5LAW5tyCvHhjr1iR0gafwRxXOpQ me": "Key: ssh-ed25519 <fingerprint> me",
	} {
		if got := slices.Concat(random, replacements).line(from); got != to {
			t.Errorf("%q\nbecomes %q\nwant    %q", from, got, to)
		}
	}
}

func TestDiff(t *testing.T) {
	got := diff([]string{"a", "b", "c"}, []string{"a", "x", "c", "d"})
	if want := "  a\n- b\n+ x\n  c\n+ d\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A command that is shown in fewer ways than four is missed, whichever way is left out.
func TestMissing(t *testing.T) {
	whole := []string{
		"-- dialogue as op --\nmx1> top\n[]> do",
		"-- line as op --\n$ top do now\ndone\n= 0",
		"-- line as op --\n$ top do --json\n{}\n= 0",
		"-- line as ro --\n$ top do\n! diagsh: no\n= 3",
	}
	command := &menu.Command{Name: "do", Role: menu.Operator}
	for left := -1; left < len(whole); left++ {
		sections := slices.Clone(whole)
		if left >= 0 {
			sections = slices.Delete(sections, left, left+1)
		}
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "top.txtar"), []byte(strings.Join(sections, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		missing := read(t, folder).at(filepath.Join(folder, "top")).missing([]string{"top", "do"}, command)
		if want := min(left+1, 1); len(missing) != want {
			t.Errorf("without section %d, %d things are missing, want %d: %q", left+1, len(missing), want, missing)
		}
	}
}
