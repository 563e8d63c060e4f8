package transcript

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// Page plays the session that a page shows, from the appliance's first line on, and compares what
// comes with what the page has. The page keeps its own times and sizes; they are compared by their
// names (normal.go). With -update what came replaces the lines that differ.
func Page(t *testing.T, page, user, first string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+first+"\n")
	block, _, ended := strings.Cut(after, "\n```\n")
	if !found || !ended {
		t.Fatalf("%s shows no session that begins with %q", page, first)
	}
	block = first + "\n" + block
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	p := &player{t: t, appliance: appliance.Start(t, appliance.Options{Network: network, SSHOnly: true})}
	p.normal = newNormal(p.appliance)
	shown := strings.Split(block, "\n")
	want := make([]string, len(shown))
	for i, line := range shown {
		if want[i] = line; !isInput(line) {
			want[i] = p.normal.line(line)
		}
	}
	got := p.playDialogue(section{kind: "dialogue", user: user, width: 132, height: 200, lines: shown})
	if !*update {
		compare(t, page, want, got)
		return
	}
	kept := map[string][]string{} // of what is not to be replaced, the page's own lines
	for i, line := range want {
		kept[line] = append(kept[line], shown[i])
	}
	for i, line := range got {
		if own := kept[line]; len(own) > 0 {
			got[i], kept[line] = own[0], own[1:]
		}
	}
	now := bytes.Replace(text, []byte(block), []byte(strings.Join(got, "\n")), 1)
	if err := os.WriteFile(page, now, 0o644); err != nil {
		t.Fatal(err)
	}
}

func isInput(line string) bool {
	_, ok := parseInput(line)
	return ok
}
