package owners

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sort"
	"sync"
	"time"
)

// mostFlows is how many flows a Table holds: less than 100 MB. What comes after them is not known.
const mostFlows = 480_000

// A Table has flows. Its methods may be called from any goroutine.
type Table struct {
	mu    sync.RWMutex
	netns uint64

	namespaces map[uint64]uint16 // numbers from 1, by inode

	flows     map[key][]span // of each key in the order of their times
	count     int
	processes map[uint64]*Process // each once, by its hash
	seed      maphash.Seed
	addresses []addresses // in the order of their times
	windows   []window    // in which all is known, in the order of their times
	lost      []window    // in which events were lost, in the order of their times and apart
	full      bool        // since the end of the last window flows were left out
}

// A key is the ends of a flow. IPv4 addresses are mapped, and an address that is not known is zero.
// It is small, since a table may have half a million.
type key struct {
	local, remote         [16]byte
	localPort, remotePort uint16
	netns                 uint16 // number in Table.namespaces
	protocol              uint8
}

// A span is one flow of a key.
type span struct {
	from, until int64 // nanoseconds since 1970; until is forever if it goes on
	most        int64 // the latest until of this span and those before it
	socket      uint64
	process     *Process
	idle        idle
	first       uint32 // see Flow.First
}

// An idle is how long before a flow Flow.Unused is: in milliseconds, rounded up, and one more. 0: that is
// not known. A span has no room for a time.
type idle uint32

func idleOf(d time.Duration) idle {
	return idle(min(max(0, (d+time.Millisecond-1)/time.Millisecond), 1<<32-2)) + 1
}

// since returns when the idle time before a flow began.
func (i idle) since(from int64) int64 { return from - int64(i-1)*int64(time.Millisecond) }

// A window is a time from the first moment to the last.
type window struct{ from, until int64 }

// addresses are the prefixes that are local to a namespace since a time.
type addresses struct {
	from     int64
	prefixes []netip.Prefix
}

const forever = 1<<63 - 1

// NewTable returns an empty Table, which knows of no time.
func NewTable() *Table {
	return &Table{namespaces: map[uint64]uint16{}, flows: map[key][]span{}, processes: map[uint64]*Process{}, seed: maphash.MakeSeed()}
}

// Begin notes that from a time on all that happens in a network namespace is told. What went on
// when the table was told last is over, as far as it is known.
func (t *Table) Begin(at time.Time, netns uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.netns = netns
	last := int64(0)
	if n := len(t.windows); n > 0 {
		last = t.windows[n-1].until
	}
	for _, spans := range t.flows {
		for i := range spans {
			if spans[i].until == forever {
				spans[i].until = last
			}
		}
		measure(spans, 0)
	}
	t.windows = append(t.windows, window{at.UnixNano(), at.UnixNano()})
}

// Known notes that all that happened until a time was told.
func (t *Table) Known(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.windows); n > 0 && !t.full {
		t.windows[n-1].until = max(t.windows[n-1].until, until.UnixNano())
	}
}

// Until returns up to when all that happened was told.
func (t *Table) Until() time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.windows) == 0 {
		return time.Time{}
	}
	return time.Unix(0, t.windows[len(t.windows)-1].until)
}

// Full reports whether flows are left out: what happens now will not be known.
func (t *Table) Full() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.full
}

// Lost notes that between two times events were lost: who had a packet then is not known.
func (t *Table) Lost(from, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lose(window{from.UnixNano(), until.UnixNano()})
}

// lose adds a window in which events were lost, and joins it with those that it meets: where the clock
// was set back, they need not be the last ones. Called with the lock held.
func (t *Table) lose(w window) {
	first := sort.Search(len(t.lost), func(i int) bool { return t.lost[i].until >= w.from })
	after := first
	for ; after < len(t.lost) && t.lost[after].from <= w.until; after++ {
		w.from, w.until = min(w.from, t.lost[after].from), max(w.until, t.lost[after].until)
	}
	t.lost = slices.Replace(t.lost, first, after, w)
}

// Addresses notes which addresses are local from a time on.
func (t *Table) Addresses(at time.Time, prefixes []netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addresses = append(t.addresses, addresses{at.UnixNano(), slices.Clone(prefixes)})
}

// Add adds a flow, or what more is known of one.
func (t *Table) Add(f Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.keyOf(f)
	if !ok {
		return
	}
	s := span{from: f.From.UnixNano(), until: forever, socket: f.Socket}
	if !f.Until.IsZero() {
		s.until = f.Until.UnixNano()
	}
	if !f.Unused.IsZero() {
		s.idle, s.first = idleOf(f.From.Sub(f.Unused)), f.First
	}
	spans := t.flows[k]
	at := sort.Search(len(spans), func(i int) bool { return spans[i].from >= s.from })
	for ; at < len(spans) && spans[at].from == s.from; at++ {
		if spans[at].socket == s.socket {
			s.process = t.process(f.Process)
			spans[at] = s
			measure(spans, at)
			return
		}
	}
	if t.full || t.count >= mostFlows {
		t.full = true
		return
	}
	t.count++
	s.process = t.process(f.Process)
	spans = slices.Insert(spans, at, s)
	measure(spans, at)
	t.flows[k] = spans
}

// measure sets the latest ends of the spans from one on.
func measure(spans []span, from int) {
	for i := from; i < len(spans); i++ {
		spans[i].most = spans[i].until
		if i > 0 {
			spans[i].most = max(spans[i].most, spans[i-1].most)
		}
	}
}

// process returns a process of the table that equals p. Of two with the same hash only one is kept
// once: that costs memory, and nothing else.
func (t *Table) process(p Process) *Process {
	hash := maphash.Comparable(t.seed, p)
	known := t.processes[hash]
	if known == nil || *known != p {
		known = &p
		t.processes[hash] = known
	}
	return known
}

// Forget forgets flows that ended before a time, and what else only they need. A live look needs no
// more.
func (t *Table) Forget(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := before.UnixNano()
	used := map[uint64]*Process{}
	t.count = 0
	for k, spans := range t.flows {
		spans = slices.DeleteFunc(spans, func(s span) bool { return s.until < limit })
		if len(spans) == 0 {
			delete(t.flows, k)
			continue
		}
		measure(spans, 0)
		t.flows[k] = spans
		t.count += len(spans)
		for _, s := range spans {
			used[maphash.Comparable(t.seed, *s.process)] = s.process
		}
	}
	t.processes = used
	t.lost = slices.DeleteFunc(t.lost, func(w window) bool { return w.until < limit })
	for len(t.addresses) > 1 && t.addresses[1].from < limit {
		t.addresses = t.addresses[1:]
	}
	if t.full && t.count < mostFlows/2 {
		t.full = false
		t.lose(window{t.windows[len(t.windows)-1].until, limit})
	}
}

// keyOf returns the key of a flow. It reports false for one of a protocol without ports, and of one
// namespace too many. Called with the lock held.
func (t *Table) keyOf(f Flow) (k key, ok bool) {
	k = key{localPort: f.LocalPort, remotePort: f.RemotePort}
	if k.protocol, ok = numbers[f.Protocol]; !ok {
		return k, false
	}
	if k.netns = t.namespaces[f.NetNS]; k.netns == 0 {
		if len(t.namespaces) == 1<<16-1 {
			return k, false
		}
		k.netns = uint16(len(t.namespaces) + 1)
		t.namespaces[f.NetNS] = k.netns
	}
	k.local = bytes16(f.LocalAddress)
	if f.RemotePort > 0 {
		k.remote = bytes16(f.RemoteAddress)
	}
	return k, true
}

// numbers are the protocol numbers of IP.
var numbers = map[Protocol]uint8{TCP: 6, UDP: 17, SCTP: 132}

func bytes16(a netip.Addr) [16]byte {
	if !a.IsValid() {
		return [16]byte{}
	}
	return a.As16()
}

// local reports whether an address is local at a time. Called with the lock held.
func (t *Table) local(a netip.Addr, at int64) bool {
	i := sort.Search(len(t.addresses), func(i int) bool { return t.addresses[i].from > at }) - 1
	if i < 0 {
		return false
	}
	return slices.ContainsFunc(t.addresses[i].prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// known reports whether all that happened up to a time was told. Called with the lock held.
func (t *Table) known(at int64) bool {
	return within(t.windows, at) && !within(t.lost, at)
}

// within reports whether a time is in one of the windows, which are in order.
func within(list []window, at int64) bool {
	i := sort.Search(len(list), func(i int) bool { return list[i].from > at }) - 1
	return i >= 0 && at <= list[i].until
}
