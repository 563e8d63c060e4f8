package ports

import (
	"net/netip"
	"time"
)

// An ended is who had a connection whose socket is closed.
type ended struct {
	since                  int64 // nanoseconds since 1970
	opened, accepted, last *actor
	before                 bool
}

// keep keeps who had a socket that ends.
func (t *table) keep(s *socket) {
	if s.protocol == TCP && s.remote.Port() != 0 {
		t.ended.Add(s.netns, s.local, s.remote, ended{s.since.UnixNano(), s.opened, s.accepted, s.last, s.before})
	}
}

// Ended returns who had a connection of the appliance's network namespace whose socket is closed, by
// its ends. It is false if that was not seen, or is long ago.
func (e *Engine) Ended(local, remote netip.AddrPort) (o Owner, ok bool) {
	k, ok := e.running().(*kernel)
	if !ok {
		return o, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.table.ended.Of(uint32(k.netns), local, remote)
	if ok {
		o = Owner{Since: time.Unix(0, p.since), Before: p.before, Opened: p.opened.Process, Accepted: p.accepted.Process, Last: p.last.Process}
	}
	return o, ok
}
