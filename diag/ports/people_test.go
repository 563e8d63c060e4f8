package ports

import (
	"testing"
	"time"
)

// TestForkChain: processes that nobody may look at, each of which forks the next one and ends, leave
// no chain of parents behind that grows with them.
func TestForkChain(t *testing.T) {
	p := newPeople("")
	defer p.close()
	process := func(id uint32) task { return task{processKey: processKey{start: uint64(id), id: id, exec: 1}} }
	const last = 1000
	for id := uint32(1); id < last; id++ {
		p.change(&change{kind: kindFork, parent: process(id), who: process(id + 1)})
		p.change(&change{kind: kindExit, who: process(id)})
	}
	p.expire(time.Now().Add(time.Hour))
	if len(p.known) != 1 {
		t.Errorf("%d processes are known", len(p.known))
	}
	chain := 0
	for one := p.known[process(last).processKey]; one != nil; one = one.parent {
		chain++
	}
	if chain > mostParents+2 { // the last, who forked it, and whom that one asks
		t.Errorf("%d processes are kept for the file of one", chain)
	}
}
