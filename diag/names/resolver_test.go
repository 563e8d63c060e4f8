package names

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"diagsh/diag/dns"
)

// asked returns a Resolver that calls answer instead of a name server, and the number of calls.
func asked(answer func(ctx context.Context, address netip.Addr) ([]string, error)) (*Resolver, *atomic.Int64) {
	var n atomic.Int64
	r := NewResolver()
	r.lookup = func(ctx context.Context, address netip.Addr) ([]string, error) {
		n.Add(1)
		return answer(ctx, address)
	}
	return r, &n
}

func addresses(n int) (list []netip.Addr) {
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
	}
	return list
}

func TestNamesAreRemembered(t *testing.T) {
	r, n := asked(func(_ context.Context, a netip.Addr) ([]string, error) {
		if a.String() == "192.0.0.1" {
			return nil, dns.ErrNotFound
		}
		return []string{"host-" + a.String() + "."}, nil
	})
	list := append(addresses(3), addresses(3)...)
	for range 3 {
		names := r.Names(t.Context(), list)
		if len(names) != 2 || names[list[0]] != "host-192.0.0.0" {
			t.Fatalf("%v", names)
		}
	}
	if n.Load() != 3 {
		t.Errorf("%d questions for three addresses", n.Load())
	}
	if forgot := r.Forget(); forgot != 3 {
		t.Errorf("it forgot %d", forgot)
	}
	if r.Names(t.Context(), list); n.Load() != 6 {
		t.Errorf("%d questions after it forgot", n.Load())
	}
}

// TestSlowServer: Names returns the names that arrived before the end, asks many at once, and
// remembers no question that was given up.
func TestSlowServer(t *testing.T) {
	waiting := make(chan struct{}, 100)
	r, n := asked(func(ctx context.Context, a netip.Addr) ([]string, error) {
		if a.String() == "192.0.0.0" {
			return []string{"quick."}, nil
		}
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range atOnce {
			<-waiting // all of them are under way together
		}
		cancel()
	}()
	names := r.Names(ctx, addresses(100))
	if len(names) != 1 || n.Load() > 1+atOnce {
		t.Errorf("%d names after %d questions", len(names), n.Load())
	}
	if len(r.memory) != 1 {
		t.Errorf("it remembers %d answers", len(r.memory))
	}
	before := n.Load()
	if names = r.Names(ctx, addresses(100)); len(names) != 1 || n.Load() != before {
		t.Errorf("after the end it asked %d times and has %v", n.Load()-before, names)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r, _ := asked(func(context.Context, netip.Addr) ([]string, error) { return []string{"a."}, nil })
	for i := range memoryLimit + 5 {
		r.ask(t.Context(), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(r.memory) > memoryLimit {
		t.Errorf("it remembers %d", len(r.memory))
	}
	old := netip.MustParseAddr("192.0.2.1")
	r.memory[old] = entry{"old", time.Now().Add(-time.Second)}
	if names := r.Names(t.Context(), []netip.Addr{old}); names[old] != "a" {
		t.Errorf("an old name lives on: %v", fmt.Sprint(names))
	}
}
