package ports

import (
	"net"
	"sync"
	"testing"
)

// TestFlood: attempts at a closed port that are too many are counted in a gap, and take nothing from
// what processes do.
func TestFlood(t *testing.T) {
	e, l, _ := watch(t, Full)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := in.Addr().String()
	in.Close()
	var flood sync.WaitGroup
	over := make(chan struct{})
	for range 8 {
		flood.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					if c, err := net.Dial("tcp", closed); err == nil {
						c.Close()
					}
				}
			}
		})
	}
	defer flood.Wait()
	defer close(over)
	r := l.wait(t, "gap", func(r Record) bool { return r.Event == Gap })
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	client := exchange(t, busy)
	for _, like := range []func(Record) bool{is(Connected, client), is(Closed, client), is(Accepted, portAt(busy.Addr()))} {
		l.wait(t, "a connection amid the attempts", like)
	}
	if r.Lost == 0 || r.Reason == "" {
		t.Errorf("%+v", r)
	}
	if s, _ := e.Status(); s.Lost < r.Lost {
		t.Errorf("%+v", s)
	}
}
