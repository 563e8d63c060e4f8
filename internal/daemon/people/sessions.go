package people

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people/loginlog"
	"diagsh/internal/daemon/people/passes"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

// A sessionTable has the logins and their sessions.
type sessionTable struct {
	limits settings.SessionLimits
	past   *loginlog.Log
	record func(access.Event)
	tell   access.Teller // of sessions, by their identifiers

	// writing is held while the beginning or end of a login is made and written down, so that these
	// come in order. It is taken before mu, and mu is never held while something is written: a slow
	// disk must not hold up every session.
	writing sync.Mutex

	mu       sync.Mutex
	logins   map[string]*login
	sessions map[string]*session
	closed   bool // no login from now on: the appliance stops
}

// A login is one successful login.
type login struct {
	id     string
	user   string
	role   menu.Role // when it began
	source string
	method string
	key    string                   // fingerprint of the public key that opened it; empty where none did
	token  string                   // the API token that opened it; empty where none did
	pass   *passes.Pass             // that opened it; nil where none did
	person atomic.Pointer[outsider] // the owner, who has no account here; nil: an account, or root
	began  time.Time
	before *access.PastLogin // the user's login before this one

	console bool // on the terminal that the appliance was started on: its end is the appliance's

	recorded bool // in the log of logins; under the table's writing

	// Under the table's mu:
	sessions int    // how many there are now
	attached int    // how many there ever were
	greeted  bool   // over the socket: it is a person
	reason   string // why it ends, once the appliance wants it to
}

// program reports whether a token or a pass opened the login.
func (l *login) program() bool { return l.token != "" || l.pass != nil }

// roleOutside returns the role of an owner who has no account here, else "".
func (l *login) roleOutside() menu.Role {
	if o := l.person.Load(); o != nil {
		return o.Role
	}
	return ""
}

// A session is one use of a login.
type session struct {
	id    string
	login *login
	kind  string
	began time.Time
	ended chan struct{} // closed at its end

	// Under the table's mu:
	idleFrom time.Time
	running  []*running // its commands
	over     bool
}

// A running is a command that runs in a session.
type running struct {
	path       string
	background bool // a page runs it by itself
}

// works reports whether a command runs that somebody has begun. Called under the table's mu.
func (s *session) works() bool {
	return slices.ContainsFunc(s.running, func(r *running) bool { return !r.background })
}

func newSessionTable(l settings.SessionLimits, past *loginlog.Log, record func(access.Event)) *sessionTable {
	return &sessionTable{limits: l, past: past, record: record, logins: make(map[string]*login),
		sessions: make(map[string]*session)}
}

// login begins a login, of which user, role, source and method are set, and key, token or person. The
// limit on all logins does not bind administrators, so that others cannot keep them out. No user has
// more logins than sessions, as a person; and as many again by tokens, so that programs keep no
// person out. Neither limit binds root of the machine.
func (t *sessionTable) login(l *login) (*login, error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	l.began = time.Now()
	if v, ok := t.past.Last(l.user); ok {
		l.before = &v
	}
	err := t.add(l)
	if err != nil && l.program() && t.makeRoom(l.user) {
		err = t.add(l)
	}
	if err != nil {
		return nil, err
	}
	// A program that asks over the socket or by a token is not recorded, a person on the socket is
	// with the greeting.
	if l.method != access.Socket && l.token == "" {
		t.recordLogin(l)
	}
	return l, nil
}

// makeRoom ends the login by a pass of a user that has done nothing for the longest time, and reports
// whether there was one. Each run of a program may come with a pass of its own, which nobody brings again.
// One that is brought again makes another login. Called with writing held.
func (t *sessionTable) makeRoom(user string) bool {
	t.mu.Lock()
	var oldest *login
	var since time.Time
	for _, s := range t.sessions {
		l := s.login
		if l.user == user && l.pass != nil && !t.busy(l) && (oldest == nil || s.idleFrom.Before(since)) {
			oldest, since = l, s.idleFrom
		}
	}
	t.mu.Unlock()
	return oldest != nil && t.endNow("made room for another one", func(l *login) bool { return l == oldest }) > 0
}

func (t *sessionTable) add(l *login) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errStopping
	}
	if l.user != localRoot {
		own := 0
		for _, other := range t.logins {
			if other.user == l.user && other.program() == l.program() {
				own++
			}
		}
		if own >= t.limits.SessionsPerUser {
			return t.tooMany(l.user)
		}
		if len(t.logins) >= t.limits.Logins && l.role != menu.Administrator {
			return menu.Errorf(menu.State, "%d users are logged in, which is the most", len(t.logins)).
				WithHint("Try again later")
		}
	}
	l.id = t.newID()
	t.logins[l.id] = l
	return nil
}

// branch begins a login as another one is, with which it does not end; it lasts no longer than that
// one may. It is in no log of logins.
func (t *sessionTable) branch(of *login) (*login, error) {
	l := &login{user: of.user, role: of.role, source: of.source, method: of.method, key: of.key, token: of.token, pass: of.pass,
		began: of.began}
	l.person.Store(of.person.Load())
	return l, t.add(l)
}

// Refusals of clients whose credentials are right: they are told the reason.
var errStopping = menu.Errorf(menu.State, "The appliance is stopping").WithHint("Try again later")

func (t *sessionTable) tooMany(user string) error {
	return menu.Errorf(menu.State, "%s has %d sessions, which is the most", user, t.limits.SessionsPerUser).
		WithHint("End one of them first")
}

// newID makes an identifier that is short enough to read out and that the audit log will not see
// twice.
func (t *sessionTable) newID() string {
	for {
		id := randomText("abcdefghjkmnpqrstuvwxyz23456789", 8)
		if _, taken := t.logins[id]; !taken {
			return id
		}
	}
}

// recordLogin records a login for `last` and the audit log. Called with writing held.
func (t *sessionTable) recordLogin(l *login) {
	l.recorded = true
	t.record(access.Event{Time: l.began, Act: access.ActLogin, User: l.user, Role: l.role, Source: l.source,
		Session:   l.id,
		Arguments: map[string]string{"method": l.method}, Result: "ok"})
	t.past.Begin(l.id, access.PastLogin{User: l.user, Source: l.source, Method: l.method, Began: l.began})
}

// attach begins a session.
func (t *sessionTable) attach(loginID, kind string) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.logins[loginID]
	if !ok || l.reason != "" {
		return nil, errSessionEnded
	}
	own := 0
	for _, s := range t.sessions {
		if s.login.user == l.user && s.login.program() == l.program() {
			own++
		}
	}
	if own >= t.limits.SessionsPerUser && l.user != localRoot {
		return nil, t.tooMany(l.user)
	}
	l.sessions++
	l.attached++
	now := time.Now()
	s := &session{id: l.id + "-" + strconv.Itoa(l.attached), login: l, kind: kind, began: now, idleFrom: now,
		ended: make(chan struct{})}
	t.sessions[s.id] = s
	t.tell.Changed(s.id)
	return s, nil
}

// detach ends a session; it may have ended already.
func (t *sessionTable) detach(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(s)
}

func (t *sessionTable) end(s *session) {
	if s.over {
		return
	}
	s.over = true
	s.login.sessions--
	delete(t.sessions, s.id)
	close(s.ended)
	t.tell.Changed(s.id)
}

// logout ends a login and its sessions.
func (t *sessionTable) logout(id, reason string) {
	t.endWhere(reason, func(l *login) bool { return l.id == id })
}

// endUser ends all logins of a user and counts them.
func (t *sessionTable) endUser(user, reason string) int {
	return t.endWhere(reason, func(l *login) bool { return l.user == user })
}

// endOthers is endWhere without the login that the session by belongs to.
func (t *sessionTable) endOthers(by, reason string, chosen func(*login) bool) int {
	keep := ""
	if s, ok := t.session(by); ok {
		keep = s.login.id
	}
	return t.endWhere(reason, func(l *login) bool { return l.id != keep && chosen(l) })
}

// busy reports whether a login is in the middle of something: a command runs, or files are read.
// Called under mu.
func (t *sessionTable) busy(l *login) bool {
	for _, s := range t.sessions {
		if s.login == l && (s.kind == "sftp" || len(s.running) > 0) {
			return true
		}
	}
	return false
}

// endWhere ends the chosen logins, records it and returns their number. A login keeps a reason that
// it was given earlier.
func (t *sessionTable) endWhere(reason string, chosen func(*login) bool) int {
	t.writing.Lock()
	defer t.writing.Unlock()
	return t.endNow(reason, chosen)
}

// endNow is endWhere for a caller who holds writing.
func (t *sessionTable) endNow(reason string, chosen func(*login) bool) int {
	ended := t.take(reason, chosen)
	for _, l := range ended {
		if !l.recorded {
			continue
		}
		t.past.End(l.id, time.Now(), l.reason)
		t.record(access.Event{Act: access.ActLogout, User: l.user, Role: l.role, Source: l.source, Session: l.id,
			Result:  "ok",
			Message: l.reason, Seconds: time.Since(l.began).Seconds()})
	}
	return len(ended)
}

// take takes logins and their sessions out of the table.
func (t *sessionTable) take(reason string, chosen func(*login) bool) (ended []*login) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.logins {
		if !chosen(l) {
			continue
		}
		if l.reason == "" {
			l.reason = reason
		}
		delete(t.logins, l.id)
		ended = append(ended, l)
	}
	for _, s := range t.sessions {
		if slices.Contains(ended, s.login) {
			t.end(s)
		}
	}
	return ended
}

// ofPerson reports whether the session is of a person who may have gone.
func (s *session) ofPerson() bool { return s.kind == "shell" && !s.login.console || s.kind == "web" }

// endIdle ends the sessions of people in which no key was pressed, or nothing done on the page, and
// no command ran for limit.
func (t *sessionTable) endIdle(limit time.Duration) {
	if limit == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, s := range t.sessions {
		if s.ofPerson() && !s.works() && now.Sub(s.idleFrom) >= limit {
			t.end(s)
			if s.login.sessions == 0 {
				s.login.reason = "idle"
			}
		}
	}
}

// endLong ends the logins of the page that began longest before now.
func (t *sessionTable) endLong(now time.Time, longest time.Duration) {
	t.mu.Lock()
	long := map[*login]bool{}
	for _, s := range t.sessions {
		if s.kind == "web" && now.Sub(s.login.began) >= longest {
			long[s.login] = true
		}
	}
	t.mu.Unlock()
	if len(long) > 0 {
		t.endWhere("the longest time of a session is over", func(l *login) bool { return long[l] })
	}
}

// ending returns when a session ends, as endIdle and endLong end it, if nothing more is heard of it.
func (t *sessionTable) ending(id string, idle, longest time.Duration) (end access.SessionEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sessions[id]
	if !ok {
		return end
	}
	if idle > 0 && s.ofPerson() && !s.works() {
		end.Idle = s.idleFrom.Add(idle)
	}
	if s.kind == "web" {
		end.Absolute = s.login.began.Add(longest)
	}
	return end
}

// close ends all logins and takes no more.
func (t *sessionTable) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.endWhere("appliance stopped", func(*login) bool { return true })
}

func (t *sessionTable) session(id string) (*session, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sessions[id]
	return s, ok
}

// running notes that the session runs a command, until done is called. The idle time begins anew at
// its end, unless it runs in the background.
func (t *sessionTable) running(id, path string, background bool) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sessions[id]
	if !ok {
		return func() {}
	}
	mark := &running{path, background}
	s.running = append(s.running, mark)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if i := slices.Index(s.running, mark); i >= 0 {
			s.running = slices.Delete(s.running, i, i+1)
			if !background {
				s.idleFrom = time.Now()
			}
		}
	}
}

// alive notes a sign of life.
func (t *sessionTable) alive(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.sessions[id]; ok {
		s.idleFrom = time.Now()
	}
}

// greeted notes that a session asked for its greeting. Over the socket that is what the shell of a
// person does and a program does not: so the login is recorded.
func (t *sessionTable) greeted(id string) {
	t.mu.Lock()
	s, ok := t.sessions[id]
	if !ok || s.login.method != access.Socket || s.login.greeted {
		t.mu.Unlock()
		return
	}
	s.login.greeted, s.kind = true, "shell"
	t.tell.Changed(id)
	t.mu.Unlock()

	t.writing.Lock()
	defer t.writing.Unlock()
	if _, open := t.session(id); open && !s.login.recorded {
		t.recordLogin(s.login)
	}
}

// tellOf tells of the sessions of users whose accounts changed: their roles may be others.
func (t *sessionTable) tellOf(users []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.sessions {
		if slices.Contains(users, s.login.user) {
			t.tell.Changed(id)
		}
	}
}

// record returns what is told of the session; with a role only if its owner has no account here.
// Called with the table's mu held.
func (s *session) record() access.Session {
	paths := make([]string, 0, len(s.running))
	for _, p := range s.running {
		paths = append(paths, p.path)
	}
	return access.Session{ID: s.id, User: s.login.user, Source: s.login.source, Type: s.kind, Token: s.login.token,
		Role: s.login.roleOutside(), Began: s.began, IdleFrom: s.idleFrom, Running: paths}
}

// find returns an open login.
func (t *sessionTable) find(id string) (*login, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.logins[id]
	return l, ok && l.reason == ""
}

// all returns the logins.
func (t *sessionTable) all() []*login {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.logins))
}

// list returns the sessions, the oldest first, with the roles of those who have no account here.
func (t *sessionTable) list() []access.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]access.Session, 0, len(t.sessions))
	for _, s := range t.sessions {
		list = append(list, s.record())
	}
	slices.SortFunc(list, func(a, b access.Session) int {
		return cmp.Or(a.Began.Compare(b.Began), strings.Compare(a.ID, b.ID))
	})
	return list
}
