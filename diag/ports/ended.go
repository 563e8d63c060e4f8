package ports

import "net/netip"

// mostEnded is how many connections whose sockets are closed are kept: the last ones, in some 2 MB.
// In TIME_WAIT and FIN_WAIT_2 a connection is another socket to the kernel than before: without a
// file, and with another cookie. Only its ends tell whose it was.
const mostEnded = 1 << 13

type ends struct {
	netns         uint32
	local, remote netip.AddrPort
}

// An endedList is who had the connections that ended last.
type endedList struct {
	owners map[ends]*Owner
	order  []ends // of owners, the oldest first
}

func newEndedList() endedList { return endedList{owners: map[ends]*Owner{}} }

func (l *endedList) add(s *socket) {
	if s.protocol != TCP || s.remote.Port() == 0 {
		return
	}
	e, o := ends{s.netns, s.local, s.remote}, s.owner()
	if l.owners[e] == nil {
		if l.order = append(l.order, e); len(l.order) > mostEnded {
			delete(l.owners, l.order[0])
			l.order = l.order[1:]
		}
	}
	l.owners[e] = &o
}

// Ended returns who had a connection of the appliance's network namespace whose socket is closed, by
// its ends. It is false if that was not seen, or is long ago.
func (e *Engine) Ended(local, remote netip.AddrPort) (o Owner, ok bool) {
	if k, kernel := e.running().(*kernel); kernel {
		k.mu.Lock()
		defer k.mu.Unlock()
		if p := k.table.ended.owners[ends{uint32(k.netns), local, remote}]; p != nil {
			return *p, true
		}
	}
	return o, false
}
