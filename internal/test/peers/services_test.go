package peers_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestServicesEqualLsof(t *testing.T) {
	t.Parallel()
	b := newBed(t, "lsof")
	b.ns.Do(t, func() {
		for range 50 {
			accepting(t, "tcp4", "127.0.0.1:0")
			accepting(t, "tcp6", "[::1]:0")
			accepting(t, "tcp", ":0")
		}
	})
	var rows []string
	for _, l := range ours[struct {
		Command, User, Type, Node, Address string
		PID, Port                          int
	}](b, "tcpservices") {
		address := l.Address
		switch {
		case address == "::" || address == "0.0.0.0":
			address = "*"
		case l.Type == "IPv6":
			address = "[" + address + "]"
		}
		rows = append(rows, row(l.Command, l.PID, l.User, l.Type, l.Node, fmt.Sprintf("%s:%d", address, l.Port)))
	}
	if len(rows) < 150 {
		t.Errorf("only %d listeners", len(rows))
	}
	peer := count(lsofListeners(b))
	compare(t, peer, count(rows), peer, never)
}

// lsofListeners are the listeners that lsof shows.
func lsofListeners(b *bed) []string { return b.lsof("-iTCP", "-sTCP:LISTEN") }

func (b *bed) lsofUDP() []string { return b.lsof("-iUDP") }

// lsof reads lsof -F: a line a field, the letter first. A process that holds a socket twice is
// counted once.
func (b *bed) lsof(which ...string) []string {
	b.t.Helper()
	// lsof looks at one process of the test's host after the other; those of other namespaces have
	// other sockets.
	text := b.run("lsof", append([]string{"+c0", "-nP", "-w", "-FpcuLtPnd"}, which...)...)
	var pid, command, user, kind, node string
	seen := map[string]bool{}
	var rows []string
	for line := range strings.Lines(text) {
		value := strings.TrimSpace(line[1:])
		switch line[0] {
		case 'p':
			pid = value
		case 'c':
			command = value
		case 'u', 'L': // the name follows the number, where there is one
			user = value
		case 't':
			kind = value
		case 'P':
			node = value
		case 'n':
			if r := row(command, pid, user, kind, node, value); !seen[r] {
				seen[r] = true
				rows = append(rows, r)
			}
		}
	}
	return rows
}
