package netstat

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	diag "diagsh/diag/sockets"
	"diagsh/internal/menu"
)

// dashes counts the sockets of a list that have a dash instead of a process.
type dashes struct {
	unseen  int                // sockets whose process cannot be seen
	orphans int                // sockets that no process holds any more
	waiting map[waitingFor]int // connections that no process holds yet
}

// A waitingFor is the process that will hold a connection once it is accepted.
type waitingFor struct {
	who       string // PID/NAME, of several with commas; empty if unknown
	handshake bool   // the handshake is not over
}

func (d *dashes) add(r *socketRow, s *diag.Socket) {
	switch {
	case s.Inode != 0:
		d.unseen++
	case r.Waiting == "":
		d.orphans++
	default:
		var who []string
		for _, l := range r.Listeners {
			who = append(who, strconv.Itoa(l.PID)+"/"+menu.Clean(l.Process))
		}
		if d.waiting == nil {
			d.waiting = map[waitingFor]int{}
		}
		d.waiting[waitingFor{strings.Join(who, ", "), r.Waiting == waitsHandshake}]++
	}
}

// String returns what the dashes of the list mean, "" if there are none.
func (d *dashes) String() string {
	var b strings.Builder
	if d.unseen > 0 {
		fmt.Fprintf(&b, "- %s of the kernel, or of a process that the appliance may not see.\n",
			plural(d.unseen, "socket is", "sockets are"))
	}
	for _, w := range slices.SortedFunc(maps.Keys(d.waiting), func(a, b waitingFor) int {
		if a.handshake != b.handshake {
			if b.handshake {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.who, b.who)
	}) {
		n := d.waiting[w]
		switch {
		case w.handshake && w.who == "":
			fmt.Fprintf(&b, "- %s half open: the handshake is not over.\n",
				plural(n, "connection is", "connections are"))
		case w.handshake:
			fmt.Fprintf(&b, "- %s handshake with the listener %s is not over.\n",
				plural(n, "connection is half open: its", "connections are half open: their"), w.who)
		case w.who == "":
			fmt.Fprintf(&b, "- %s to be accepted, by which process is not known.\n",
				plural(n, "connection waits", "connections wait"))
		default:
			fmt.Fprintf(&b, "- %s to be accepted by %s.\n", plural(n, "connection waits", "connections wait"), w.who)
		}
	}
	if d.orphans > 0 {
		fmt.Fprintf(&b, "- %s no process any more: the kernel keeps a closed connection for a while.\n",
			plural(d.orphans, "socket has", "sockets have"))
	}
	return b.String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
