// Package idempotency answers a request that comes again as it was answered the first time, and does
// nothing twice (the header Idempotency-Key, draft-ietf-httpapi-idempotency-key-header). Keys belong
// to an account, or to a token. They are in memory, so they do not outlive the appliance.
package idempotency

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

const (
	// Header has the key of a request, and Replayed says in an answer that it is of an earlier one.
	Header   = "Idempotency-Key"
	Replayed = "Diagsh-Replayed"

	keep      = 24 * time.Hour
	maxKey    = 255
	maxOwn    = 100      // keys of an account: the oldest go first
	maxAll    = 1000     // keys of all accounts
	maxAnswer = 64 << 10 // bytes of an answer that are kept

	// The bytes of all answers that are kept of an account, and of all accounts: the oldest go first.
	maxOwnBytes = 1 << 20
	maxAllBytes = 8 << 20
)

// A Memory has the keys and answers. Its zero value is ready, and its methods may be called from any
// goroutine.
type Memory struct {
	mu      sync.Mutex
	entries []*entry // the oldest first
}

// An owner is whose a key is: of a person's account, or of one token. An account that was made anew
// by the same name is another one.
type owner struct {
	user, token string
	account     int64
}

func ownerOf(caller menu.Caller) owner {
	return owner{caller.User, caller.Token, caller.Account.UnixNano()}
}

// An entry is a request with a key. All but answered are set when it is added.
type entry struct {
	owner       owner
	key         string
	fingerprint [sha256.Size]byte
	role        menu.Role
	payload     bool
	began       time.Time

	answered bool // under the Memory's mu, as what follows
	status   int
	header   http.Header
	body     []byte
	tooLarge bool
}

// Once answers a request by do, or as an earlier one of the same key was answered. A POST without a
// key is done as ever. Only what succeeded is kept: what failed may be tried again by the same key.
func (m *Memory) Once(w http.ResponseWriter, r *http.Request, caller menu.Caller, do func(http.ResponseWriter) error) error {
	key := r.Header.Get(Header)
	if key == "" || r.Method != http.MethodPost {
		return do(w)
	}
	if len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return menu.Errorf(menu.Usage, "The %s is not right", Header).WithHint("It is at most %d printable characters", maxKey)
	}
	fingerprint, err := fingerprintOf(r)
	if err != nil {
		return err
	}
	mine, before := m.begin(&entry{owner: ownerOf(caller), key: key, fingerprint: fingerprint, role: caller.Role,
		payload: caller.Payload, began: time.Now()})
	if before {
		return m.replay(w, mine, fingerprint, caller)
	}
	answer := &recorder{ResponseWriter: w}
	kept := false
	defer func() { m.finish(mine, answer, kept) }() // also when do panics
	if err := do(answer); err != nil {
		return err
	}
	kept = answer.status/100 == 2
	return nil
}

// fingerprintOf returns what makes a request the same as another one. The body can be read again.
func fingerprintOf(r *http.Request) (sum [sha256.Size]byte, err error) {
	body := []byte{}
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return sum, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	head := strings.Join([]string{r.URL.Path, r.URL.RawQuery, r.Header.Get("Accept"), r.Header.Get("Prefer")}, "\n")
	return sha256.Sum256([]byte(strconv.Itoa(len(head)) + "\n" + head + string(body))), nil
}

// begin adds an entry, unless there is one of its user and key: then before is true.
func (m *Memory) begin(e *entry) (_ *entry, before bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = slices.DeleteFunc(m.entries, func(old *entry) bool { return old.answered && time.Since(old.began) > keep })
	own := 0
	for _, old := range m.entries {
		if old.owner != e.owner {
			continue
		}
		if own++; old.key == e.key {
			return old, true
		}
	}
	if own >= maxOwn {
		m.dropOldest(func(old *entry) bool { return old.owner == e.owner })
	}
	if len(m.entries) >= maxAll {
		m.dropOldest(func(*entry) bool { return true })
	}
	m.entries = append(m.entries, e)
	return e, false
}

// dropOldest forgets the oldest of the chosen entries that is answered. Called with mu held.
func (m *Memory) dropOldest(chosen func(*entry) bool) {
	i := slices.IndexFunc(m.entries, func(e *entry) bool { return e.answered && chosen(e) })
	if i >= 0 {
		m.entries = slices.Delete(m.entries, i, i+1)
	}
}

// finish keeps the answer of an entry, or forgets the entry.
func (m *Memory) finish(e *entry, answer *recorder, kept bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !kept {
		m.entries = slices.DeleteFunc(m.entries, func(other *entry) bool { return other == e })
		return
	}
	e.answered, e.status, e.header, e.tooLarge = true, answer.status, answer.Header().Clone(), answer.tooLarge
	e.body = slices.Clone(answer.body)
	m.bound(maxOwnBytes, func(other *entry) bool { return other.owner == e.owner })
	m.bound(maxAllBytes, func(*entry) bool { return true })
}

// bound forgets the oldest of the chosen entries until their answers have no more than most bytes.
// Called with mu held.
func (m *Memory) bound(most int, chosen func(*entry) bool) {
	bytes := 0
	for _, e := range slices.Backward(slices.Clone(m.entries)) {
		if !chosen(e) {
			continue
		}
		if bytes += len(e.body); bytes > most && len(e.body) > 0 {
			m.entries = slices.DeleteFunc(m.entries, func(other *entry) bool { return other == e })
		}
	}
}

// replay answers as before.
func (m *Memory) replay(w http.ResponseWriter, e *entry, fingerprint [sha256.Size]byte, caller menu.Caller) error {
	m.mu.Lock()
	answered := e.answered // what follows is not changed any more then
	m.mu.Unlock()
	switch {
	case e.fingerprint != fingerprint:
		return problem.KeyReused.Errorf("The %s came with another request before", Header).WithHint("Use another key for each request")
	case !answered:
		return menu.Errorf(menu.State, "The request with this %s is still being answered", Header).WithHint("Send it again later")
	case caller.Role != e.role || caller.Payload != e.payload:
		return menu.Errorf(menu.Denied, "Your rights are others than when this %s was used", Header)
	case e.tooLarge:
		return menu.Errorf(menu.State, "The request with this %s was done, and its answer was too large to be kept", Header).
			WithHint("It is not done again")
	}
	for name, values := range e.header {
		w.Header()[name] = values
	}
	w.Header().Set(Replayed, "true")
	w.WriteHeader(e.status)
	w.Write(e.body) // a peer who has gone cannot be told
	return nil
}

// A recorder keeps an answer as it is sent.
type recorder struct {
	http.ResponseWriter
	status   int
	body     []byte
	tooLarge bool
}

// Unwrap returns the writer whose deadlines and flushes count, for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. What the peer does not take any more is kept all the same.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if len(r.body)+len(p) > maxAnswer {
		r.tooLarge, r.body = true, nil
	} else if !r.tooLarge {
		r.body = append(r.body, p...)
	}
	return r.ResponseWriter.Write(p)
}
