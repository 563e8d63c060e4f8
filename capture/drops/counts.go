package drops

import (
	"cmp"
	"slices"
	"strings"

	"diagsh/internal/bpf"
)

// Counts returns what was dropped since the engine runs, by reason and place, and how many packets are
// in no count because there were too many places. It is empty while the engine does not run.
func (e *Engine) Counts() (counts []Count, uncounted uint64, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.running
	if r == nil {
		return nil, 0, nil
	}
	if counts, err = e.counts(r); err != nil {
		return nil, 0, err
	}
	var lost []uint64
	if err := r.set.Map("uncounted").Lookup(uint32(0), &lost); err != nil {
		return nil, 0, err
	}
	for _, n := range lost {
		uncounted += n
	}
	return counts, uncounted, nil
}

// counts returns what was dropped by reason and place. Called with mu held.
func (e *Engine) counts(r *run) (counts []Count, err error) {
	entries, err := bpf.Entries[kernelPlace, kernelCount](r.set, "counts")
	if err != nil {
		return nil, err
	}
	sums := map[Where]Count{}
	r.naming.Lock()
	defer r.naming.Unlock()
	for k, values := range entries {
		if e.own.has(k.Listener) {
			continue
		}
		w := r.where(&k)
		c := sums[w]
		c.Where = w
		for _, v := range values {
			c.Packets += v.Packets
			c.Told += v.Handed
		}
		sums[w] = c
	}
	for _, c := range sums {
		counts = append(counts, c)
	}
	slices.SortFunc(counts, func(a, b Count) int { return compareWhere(a.Where, b.Where) })
	return counts, nil
}

func compareWhere(a, b Where) int {
	return cmp.Or(strings.Compare(a.Reason, b.Reason), strings.Compare(a.Place, b.Place), cmp.Compare(a.EtherType, b.EtherType))
}

// Flows returns what was dropped since the engine runs, by reason, place, interface and flow.
// Packets that are only counted, as those for other machines, have no interface and no ends. It is empty
// while the engine does not run.
func (e *Engine) Flows() ([]FlowCount, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.running
	if r == nil {
		return nil, nil
	}
	counts, err := e.counts(r)
	if err != nil {
		return nil, err
	}
	entries, err := bpf.Entries[kernelFlow, kernelFlowCount](r.set, "flows")
	if err != nil {
		return nil, err
	}
	r.naming.Lock()
	defer r.naming.Unlock()
	flows := make([]FlowCount, 0, len(entries))
	for k, v := range entries {
		if e.own.has(k.Place.Listener) {
			continue
		}
		flows = append(flows, FlowCount{Where: r.where(&k.Place), Flow: k.flow(), Packets: v[0].Packets,
			Last: r.clock.time(v[0].Last), Cookie: v[0].Cookie, Inode: uint64(v[0].Inode)})
	}
	for _, c := range counts {
		if c.EtherType != 0 && slices.Contains(onlyCounted[:], c.Reason) {
			flows = append(flows, FlowCount{Where: c.Where, Packets: c.Packets})
		}
	}
	return flows, nil
}
