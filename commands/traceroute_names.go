package commands

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"diagsh/diag/names"
)

// nameTime is how long a router's name may take, from its first answer. It limits how much slower
// the names make a trace.
const nameTime = 900 * time.Millisecond

// routerNames looks up the names of routers while the trace runs.
type routerNames struct {
	ctx      context.Context // of the command
	off      bool            // no names are wanted
	resolver *names.Resolver

	mu    sync.Mutex
	found map[netip.Addr]*routerName
}

type routerName struct {
	done chan struct{}
	name string
}

// look begins to look up the name of an address. It does not wait. It is called once an address.
func (n *routerNames) look(a netip.Addr) {
	if n.off {
		return
	}
	entry := &routerName{done: make(chan struct{})}
	n.mu.Lock()
	n.found[a] = entry
	n.mu.Unlock()
	go func() {
		defer close(entry.done)
		ctx, stop := context.WithTimeout(n.ctx, nameTime)
		defer stop()
		entry.name = n.resolver.Names(ctx, []netip.Addr{a})[a]
	}()
}

func (n *routerNames) entry(a netip.Addr) *routerName {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.found[a]
}

// of waits for a router's name and returns it, "" if there is none or its time is over.
func (n *routerNames) of(a netip.Addr) string {
	entry := n.entry(a)
	if entry == nil {
		return ""
	}
	<-entry.done
	return entry.name
}

// now returns a router's name if it is known already, else "".
func (n *routerNames) now(a netip.Addr) string {
	entry := n.entry(a)
	if entry == nil {
		return ""
	}
	select {
	case <-entry.done:
		return entry.name
	default:
		return ""
	}
}
