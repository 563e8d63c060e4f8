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
	atOnce      = 32              // questions to the name servers at a time
	found       = 5 * time.Minute // how long a name is remembered
	missing     = time.Minute     // how long the absence of a name is remembered
	memoryLimit = 20_000          // remembered addresses
)

// A Resolver finds names of addresses and remembers them. It sends many questions at once. It is
// safe for concurrent use.
type Resolver struct {
	lookup func(ctx context.Context, a netip.Addr) ([]string, error)

	mu     sync.Mutex
	memory map[netip.Addr]entry
}

// An entry is what is known of an address. An empty name means that it has none.
type entry struct {
	name  string
	until time.Time
}

// NewResolver returns a Resolver that asks as /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf
// say.
func NewResolver() *Resolver {
	return &Resolver{lookup: dns.System.NamesOf, memory: map[netip.Addr]entry{}}
}

// Names returns the names that are remembered or arrive before ctx ends. Addresses without a name
// are missing from the result. Names come from strangers.
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
					continue // it ended between the offer and the receipt
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

// Forget empties the memory and returns how many addresses were in it.
func (r *Resolver) Forget() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.memory)
	clear(r.memory)
	return n
}

// remembered splits addresses into those with a known name and those to ask for, without
// duplicates.
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

// ask looks up one name and remembers the answer. It remembers nothing if the context ended or the
// servers failed.
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
