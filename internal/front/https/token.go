package https

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/front/gate"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// Bounds of the sessions of tokens.
const (
	// maxTokens is how many there are at a time. One that is not in use makes room.
	maxTokens = 128
	// tokenIdle is after which time without a request one ends.
	tokenIdle = 5 * time.Minute
	// maxToken bounds the text of a token in bytes. A pass of a client of Azure is the longest.
	maxToken = 4 << 10
	// tokenTime bounds how long a login by a token takes.
	tokenTime = 30 * time.Second
	// wrongTokenTime is how long the answer to a wrong token takes.
	wrongTokenTime = time.Second
)

// A tokenKey names a session of a token: one for each address that the token is used from, as an address
// is a part of who a caller is.
type tokenKey struct {
	token  [sha256.Size]byte
	source netip.Addr
	kind   string // of the session: api or azure
}

// A tokenSession is a session of a token, or the login that will be one.
type tokenSession struct {
	ready   chan struct{} // closed when session or refused is set
	session *session
	refused *menu.Error

	// Under the table's mu:
	uses int // requests
	last time.Time
}

// A tokenTable has the sessions of tokens. A session is kept while the token is used, so that a request
// costs no login.
type tokenTable struct {
	mu       sync.Mutex
	sessions map[tokenKey]*tokenSession
}

func newTokenTable() *tokenTable { return &tokenTable{sessions: map[tokenKey]*tokenSession{}} }

// take returns the session of a token, or a new one that the caller has to make ready. The caller gives it
// back by free. It returns nil if there are too many.
func (t *tokenTable) take(key tokenKey) (one *tokenSession, isNew bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one = t.sessions[key]
	if one == nil {
		if len(t.sessions) >= maxTokens && !t.makeRoom() {
			return nil, false
		}
		one, isNew = &tokenSession{ready: make(chan struct{})}, true
		t.sessions[key] = one
	}
	one.uses++
	return one, isNew
}

// makeRoom ends the session that was not used for the longest time. It reports false if all are in use.
// The caller holds mu.
func (t *tokenTable) makeRoom() bool {
	var oldest tokenKey
	var last *tokenSession
	for key, one := range t.sessions {
		if one.uses == 0 && (last == nil || one.last.Before(last.last)) {
			oldest, last = key, one
		}
	}
	if last == nil {
		return false
	}
	delete(t.sessions, oldest)
	go last.end()
	return true
}

// free gives a session back.
func (t *tokenTable) free(one *tokenSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.uses--
	one.last = time.Now()
}

// drop forgets a session. Another one may have its key already.
func (t *tokenTable) drop(key tokenKey, one *tokenSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions[key] == one {
		delete(t.sessions, key)
	}
}

// endIdle ends the sessions that nobody used since before.
func (t *tokenTable) endIdle(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, one := range t.sessions {
		if one.uses == 0 && one.last.Before(before) {
			delete(t.sessions, key)
			go one.end()
		}
	}
}

// all returns the sessions that have begun.
func (t *tokenTable) all() (list []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.sessions {
		select {
		case <-one.ready:
			if one.session != nil {
				list = append(list, one.session)
			}
		default: // its login is given up with the server's context
		}
	}
	return list
}

// end ends the session, if the login has made one.
func (one *tokenSession) end() {
	<-one.ready
	if one.session != nil {
		one.session.end()
	}
}

// wait waits for that long, or until ctx is done.
func wait(ctx context.Context, pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}

// byToken returns the session of that kind of the token that a request carries. The caller calls done
// after the request.
func (s *Server) byToken(r *http.Request, kind string) (one *session, done func(), refused *menu.Error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" || len(text) > maxToken {
		return nil, nil, errNoToken
	}
	key := tokenKey{sha256.Sum256([]byte(text)), connOf(r).Address, kind}
	held, isNew := s.tokens.take(key)
	if held == nil {
		return nil, nil, errManyTokens
	}
	done = func() { s.tokens.free(held) }
	if isNew {
		if refused := tooOften(r, s.limits.logins, connOf(r).Source); refused != nil {
			s.tokens.drop(key, held)
			held.refused = refused
			close(held.ready)
		} else {
			s.logInByToken(connOf(r), key, held, text)
		}
	}
	select {
	case <-held.ready:
	case <-r.Context().Done():
		done()
		return nil, nil, errNotLoggedIn // which nobody reads
	}
	if held.refused != nil {
		done()
		return nil, nil, held.refused
	}
	return held.session, done, nil
}

// logInByToken makes a session of a token ready. The login is not the request's alone, so it goes on
// without it. It is forgotten if it fails, or when the appliance ends it.
func (s *Server) logInByToken(from *gate.Conn, key tokenKey, held *tokenSession, text string) {
	go func() {
		defer close(held.ready)
		ctx, cancel := context.WithTimeout(s.ctx, tokenTime)
		defer cancel()
		one, err := s.begin(ctx, from, key.kind, access.Credentials{Source: from.Address.String(), Token: menu.Secret(text)})
		if err == nil {
			held.session = one
			go func() {
				<-one.gone
				s.tokens.drop(key, held)
				one.end()
			}()
			return
		}
		s.tokens.drop(key, held) // another try may come meanwhile
		held.refused = notLoggedIn(err)
		if held.refused.Type == problem.Login {
			wait(ctx, wrongTokenTime)
		} else if _, told := errors.AsType[*menu.Error](err); !told {
			s.log.Error("https: a login by token failed for a fault of the appliance", "error", err)
		}
	}()
}
