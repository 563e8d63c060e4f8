package azure

import (
	"context"
	"net/http"
	"strings"
	"time"

	"diagsh/internal/menu"
)

// turnTime is how long a request waits for others that begin or delete the capture of the same name. It is
// less than clients wait for an answer.
const turnTime = 10 * time.Second

// takeTurn waits until no other request begins or deletes the capture of a name, in whatever case, and keeps
// further ones waiting until release is called. It is nil if the time was over first.
func (s *Server) takeTurn(ctx context.Context, name string) (release func()) {
	key, mine := strings.ToLower(name), make(chan struct{})
	limit := time.NewTimer(s.turnTime)
	defer limit.Stop()
	for {
		other, taken := s.turns.LoadOrStore(key, mine)
		if !taken {
			return func() { s.turns.Delete(key); close(mine) }
		}
		select {
		case <-other.(chan struct{}):
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// awaitTurn waits as takeTurn does, and keeps nobody waiting.
func (s *Server) awaitTurn(ctx context.Context, name string) {
	if release := s.takeTurn(ctx, name); release != nil {
		release()
	}
}

// inTurn has a request that begins or deletes the capture of a name answered when no other one does so: what
// it finds is then still true when it is answered. The turn ends when the channel that do returns is closed;
// nil: at once.
func (s *Server) inTurn(w http.ResponseWriter, r *http.Request, name string, do func() <-chan struct{}) {
	release := s.takeTurn(r.Context(), name)
	if release == nil {
		fail(w, http.StatusConflict, "AnotherOperationInProgress", "Another request is beginning or deleting the packet capture '"+
			menu.Bounded(name, 80)+"'. Send this one again when that has ended.")
		return
	}
	over := do()
	if over == nil {
		release()
		return
	}
	go func() { // which may be after the answer: the capture may still have no place in the list
		<-over
		release()
	}()
}
