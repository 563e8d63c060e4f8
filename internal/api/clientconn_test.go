package api

import (
	"runtime"
	"sync"
	"testing"
)

// What is asked at once behind an answer goes by the same connection, however busy the machine is:
// more threads than processors are stopped anywhere.
func TestEveryRequestGoesByTheOneConnection(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(64))
	_, path := serve(t, newFake(t))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 100 {
				c, err := Dial(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					if _, err := c.Hostname(t.Context()); err != nil {
						t.Error(err)
					}
				}
				c.Close()
			}
		})
	}
	all.Wait()
}
