package api

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"

	"diagsh/internal/menu"
)

// maxRepeats bounds the commands of a session that are known to be in the audit log. More than that
// no page looks at.
const maxRepeats = 256

// repeats are the commands that a session has run and that the audit log has. A page that is looked
// at asks the same again every few seconds, by itself. If each of these were a line, the acts of
// people would be lost among them, and with them the room of the log.
type repeats struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]bool
}

// repeated reports whether a request is such a repetition, which needs no line of its own: the page
// asks by itself, the command only shows something, and the same with the same arguments is in the
// audit log for this session.
func (r *repeats) repeated(request *http.Request, c *menu.Command, path string, args menu.Arguments) bool {
	if !background(request) || !repeatable(c, args) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[keyOf(path, args)]
}

// recorded notes that the audit log has a command of the session, which succeeded.
func (r *repeats) recorded(c *menu.Command, path string, args menu.Arguments) {
	if !repeatable(c, args) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[[sha256.Size]byte]bool{}
	}
	if len(r.seen) < maxRepeats {
		r.seen[keyOf(path, args)] = true
	}
}

// repeatable reports whether a command only shows something, which is not a stream.
func repeatable(c *menu.Command, args menu.Arguments) bool {
	shape := c.ShapeOf(args)
	return c.Shows && (shape == menu.Table || shape == menu.Object)
}

// keyOf returns what stands for a command with its arguments.
func keyOf(path string, args menu.Arguments) [sha256.Size]byte {
	text, _ := json.Marshal(struct {
		Path      string
		Arguments menu.Arguments
	}{path, args}) // of texts alone, in the order of their names
	return sha256.Sum256(text)
}
