package names

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"diagsh/diag/dns"
)

const (
	atOnce      = 32              // questions to the name server
	found       = 5 * time.Minute // for which a name is remembered,
	missing     = time.Minute     // and that there is none
	memoryLimit = 20_000          // addresses that are remembered
)

// A Resolver finds names and remembers them. It is safe for several goroutines.
type Resolver struct {
	lookup func(ctx context.Context, a netip.Addr) ([]string, error)

	mu     sync.Mutex
	memory map[netip.Addr]entry
}

// An entry is what is known of an address; the empty name says that it has none.
type entry struct {
	name  string
	until time.Time
}

// NewResolver is a Resolver that asks as /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf say.
func NewResolver() *Resolver {
	return &Resolver{lookup: dns.System.NamesOf, memory: map[netip.Addr]entry{}}
}

// Names returns the names of those addresses that have one and whose name was known or came before ctx ended. Names are what
// strangers wrote into the DNS.
func (r *Resolver) Names(ctx context.Context, addresses []netip.Addr) map[netip.Addr]string {
	names, unknown := r.remembered(addresses)
	if len(unknown) == 0 || ctx.Err() != nil {
		return names
	}
	questions := make(chan netip.Addr)
	var mu sync.Mutex
	var asking sync.WaitGroup
	for range min(atOnce, len(unknown)) {
		asking.Go(func() {
			for a := range questions {
				if ctx.Err() != nil {
					continue // it ended between the offer and the taking
				}
				if name := r.ask(ctx, a); name != "" {
					mu.Lock()
					names[a] = name
					mu.Unlock()
				}
			}
		})
	}
hand:
	for _, a := range unknown {
		select {
		case questions <- a:
		case <-ctx.Done():
			break hand
		}
	}
	close(questions)
	asking.Wait()
	return names
}

// Forget empties the memory and says how many addresses were in it.
func (r *Resolver) Forget() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.memory)
	clear(r.memory)
	return n
}

// remembered divides addresses into those with a known name and those to ask for, each once.
func (r *Resolver) remembered(addresses []netip.Addr) (names map[netip.Addr]string, unknown []netip.Addr) {
	names = map[netip.Addr]string{}
	seen := map[netip.Addr]bool{}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addresses {
		if seen[a] || !a.IsValid() || a.IsUnspecified() {
			continue
		}
		seen[a] = true
		e, ok := r.memory[a]
		switch {
		case !ok || now.After(e.until):
			unknown = append(unknown, a)
		case e.name != "":
			names[a] = e.name
		}
	}
	return names, unknown
}

// ask asks for one name and remembers the answer, unless it was given up.
func (r *Resolver) ask(ctx context.Context, a netip.Addr) string {
	all, err := r.lookup(ctx, a)
	e := entry{until: time.Now().Add(found)}
	switch {
	case err == nil && len(all) > 0:
		e.name = strings.TrimSuffix(all[0], ".")
	case ctx.Err() != nil, err != nil && !errors.Is(err, dns.ErrNotFound):
		return "" // the server may answer the next time
	default:
		e.until = time.Now().Add(missing)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.memory) >= memoryLimit {
		clear(r.memory)
	}
	r.memory[a] = e
	return e.name
}
