package sse

import (
	"sync"

	"diagsh/internal/menu"
)

// MaxStreams is how many streams of events a session has at a time: one for each tab of a browser,
// and some that the peer has left and the appliance does not know of yet.
const MaxStreams = 16

// Places counts the streams of each session. Its zero value is ready.
type Places struct {
	mu    sync.Mutex
	taken map[string]int
}

// Enter notes a stream of a session, until leave is called.
func (p *Places) Enter(session string) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	if p.taken[session] >= MaxStreams {
		return nil, menu.Errorf(menu.State, "%d streams of events are open in this session, which is the most", MaxStreams).
			WithHint("Close one of them first")
	}
	p.taken[session]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.taken[session]--; p.taken[session] == 0 {
			delete(p.taken, session)
		}
	}, nil
}
