package people

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people/loginlog"
	"diagsh/internal/daemon/people/passes"
	"diagsh/internal/menu"
)

// Visitors implements api.Logins.
func (p *People) Visitors() []string { return p.past.Sources(maxVisitors) }

// maxVisitors is how many sources Visitors returns, the most recent.
const maxVisitors = 500

// KeyKnown implements api.Logins.
func (p *People) KeyKnown(_ context.Context, name, _ string, key []byte) bool {
	r := p.accounts.now.Load()
	known := r.keys[keyOwner{name, sha256.Sum256(key)}]
	expired := r.users[name].expired(time.Now())
	return known && !expired
}

// Login implements api.Logins. Both outcomes are recorded, a refusal with the reason that the
// client is not told.
func (p *People) Login(ctx context.Context, c access.Credentials) (access.Login, error) {
	switch {
	case c.Token != "" && p.passes != nil && passes.IsOne(c.Token):
		return p.loginByPass(c)
	case c.Token != "":
		return p.loginByToken(c)
	case c.Callback != nil:
		return p.loginByCallback(ctx, c)
	}
	if name, ok := p.asksOutside(c); ok {
		c.User = name
		return p.loginOutside(ctx, c)
	}
	u, exists := p.accounts.get(c.User)
	var ok bool
	var err error
	method, refusal := access.Password, errWrongPassword
	if c.Key != nil {
		method, refusal = access.PublicKey, menu.Errorf(menu.Denied, "This key does not open this account")
		if checkProof(c) != nil {
			// The front end has verified the signature, or should have. The audit log says it,
			// within its budget: a front that was taken over could fill the other log.
			p.recordRefusal(c, method, "the signature is not by this key, or not for this login")
			return access.Login{}, refusal
		}
		ok = p.KeyKnown(ctx, c.User, c.Source, c.Key)
	} else {
		ok, err = p.tryPassword(ctx, u, c.User, c.Source, c.Password)
	}
	switch {
	case err != nil:
		p.recordUnchecked(c, err)
		return access.Login{}, menu.Failing("check the login", err)
	case !exists:
		p.recordRefusal(c, method, "there is no such user")
		return access.Login{}, refusal
	case ok && u.expired(time.Now()):
		p.recordRefusal(c, method, "the account has expired")
		return access.Login{}, refusal
	case !ok:
		p.recordRefusal(c, method, "the "+method+" is not the user's")
		return access.Login{}, refusal
	}
	if u.First && method == access.Password {
		p.forgetFirstPassword()
	}
	l, err := p.sessions.login(&login{user: u.User, role: u.Role, source: c.Source, method: method, key: fingerprintOf(c.Key)})
	if err != nil {
		p.recordRefusal(c, method, err.Error())
		return access.Login{}, err
	}
	// What opened the account may have been taken from it in this moment, when there was no login
	// yet to end.
	now, _ := p.accounts.get(u.User)
	if c.Key != nil && !now.hasKey(l.key) || c.Key == nil && now.Password != u.Password {
		p.sessions.logout(l.id, "the "+method+" was changed")
		return access.Login{}, refusal
	}
	return p.begun(l)
}

var errWrongPassword = menu.Errorf(menu.Denied, "User name or password is wrong")

// begun returns a login that has begun. It ends it if what opened it went away in this moment.
func (p *People) begun(l *login) (access.Login, error) {
	caller, err := p.callerOf(l, l.id)
	if err != nil {
		p.Logout(l.id)
		return access.Login{}, err
	}
	return access.Login{ID: l.id, Caller: caller, Method: l.method, Began: l.began,
		Idle:       int(p.settings.IdleTimeout() / time.Second),
		LongestWeb: int(p.settings.LongestWebSession() / time.Second),
		MayFiles:   caller.Role != menu.ReadOnly}, nil
}

// recordRefusal records a login that failed.
func (p *People) recordRefusal(c access.Credentials, method, reason string) {
	p.audit.Refused(p.known(c.User), access.Event{Act: access.ActRefused, User: nameForAudit(c.User), Source: c.Source,
		Arguments: map[string]string{"method": method},
		Result:    menu.Denied.String(), Exit: int(menu.Denied), Message: "Login refused: " + reason})
}

// nameForAudit returns a user name as the audit log may have it. What cannot be one may be a
// password that was typed in the wrong place.
func nameForAudit(name string) string {
	if !access.PlainUserName(name) {
		return "(not a user name)"
	}
	return name
}

// known returns name if an account has it, else "".
func (p *People) known(name string) string {
	if _, ok := p.accounts.get(name); !ok {
		return ""
	}
	return name
}

func (p *People) recordUnchecked(c access.Credentials, err error) {
	switch err {
	case errLocked:
		p.recordRefusal(c, access.Password, "too many have failed, so the password was not looked at")
	case errCrowded, errBusy:
		if p.known(c.User) != "" { // its owner should find out
			p.recordRefusal(c, access.Password,
				"too many passwords wait to be checked, so the password was not looked at")
			return
		}
		if count, due := p.unchecked.Add(""); due {
			p.recordRefusal(c, access.Password,
				fmt.Sprintf("too many passwords wait to be checked (%d refused since the last such line)", count))
		}
	}
}

// tryPassword checks a password after the delay that earlier failures demand. u is the zero user if
// there is none of that name.
func (p *People) tryPassword(ctx context.Context, u user, name, from string, password menu.Secret) (bool, error) {
	if !access.PlainUserName(name) {
		name = "" // All names that cannot exist are one, so that their length costs nothing.
	}
	trusted := u.User != "" && p.past.Trusted(u.User, loginlog.SourceKey(from), u.Created)
	a, err := p.guard.admit(ctx, name, from, trusted)
	if err != nil {
		return false, err
	}
	ok, err := p.hasher.verify(ctx, password, u.Password, from, trusted)
	if err != nil { // Nothing was found out about the password, so it is no failure.
		a.end()
		return false, err
	}
	p.settle(a, ok, name, from)
	return ok, nil
}

// settle ends an attempt with its result, and records a lock that begins.
func (p *People) settle(a *attempt, right bool, name, from string) {
	if locked := a.done(right); locked > 0 {
		p.audit.Refused(p.known(name), access.Event{Act: access.ActSystem, User: name, Source: from, Result: "locked",
			Message: fmt.Sprintf("Too many passwords for %s from %s were wrong; none from there is looked at for %s",
				menu.Quoted(name), from, menu.FormatDuration(locked))})
	}
}

// Logout implements api.Logins.
func (p *People) Logout(login string) { p.sessions.logout(login, "logged out") }

// Attach implements api.Logins.
func (p *People) Attach(login, kind string) (menu.Caller, <-chan struct{}, func(), error) {
	// A pass is for clients of Azure alone, and these come by nothing but passes and tokens.
	if l, ok := p.sessions.find(login); ok && (l.pass != nil && kind != access.AzureSession ||
		kind == access.AzureSession && !l.program()) {
		return menu.Caller{}, nil, nil, menu.Errorf(menu.Denied, "What you logged in by is not for this")
	}
	s, err := p.sessions.attach(login, kind)
	if err != nil {
		return menu.Caller{}, nil, nil, err
	}
	caller, err := p.callerOf(s.login, s.id)
	if err != nil {
		p.sessions.detach(s)
		return menu.Caller{}, nil, nil, err
	}
	return caller, s.ended, func() { p.sessions.detach(s) }, nil
}

// Local implements api.Logins. Root is administrator under its own name. Another user has the
// account that the host configuration names.
func (p *People) Local(uid uint32) (menu.Caller, <-chan struct{}, func(), error) {
	name, role := localRoot, menu.Administrator
	if uid != 0 {
		name, role = p.localAccount(uid)
	}
	if name == "" {
		user := fmt.Sprintf("uid %d", uid)
		if count, due := p.strangers.Add(user); due {
			p.audit.Refused("", access.Event{Act: access.ActRefused, User: user, Source: access.Local,
				Result: menu.Denied.String(), Exit: int(menu.Denied),
				Message: fmt.Sprintf("Login refused: no account is configured for this user of the machine (%d refused since the last such line)", count)})
		}
		return menu.Caller{}, nil, nil, menu.Errorf(menu.Denied,
			"The user id %d of this machine has no account on the appliance", uid).
			WithHint("Name it under localUsers in the configuration, or use sudo")
	}
	return p.attachLocal(name, role, false)
}

// Console implements api.Logins.
func (p *People) Console() (menu.Caller, <-chan struct{}, func(), error) {
	return p.attachLocal(localRoot, menu.Administrator, true)
}

// Detached implements api.Sessions.
func (p *People) Detached(session string) (menu.Caller, <-chan struct{}, func(), error) {
	s, ok := p.sessions.session(session)
	if !ok {
		return menu.Caller{}, nil, nil, errSessionEnded
	}
	l, err := p.sessions.branch(s.login)
	if err != nil {
		return menu.Caller{}, nil, nil, err
	}
	return p.attachOnly(l, "run")
}

// OnConsole reports whether a session is that of the terminal which the appliance was started on.
func (p *People) OnConsole(caller menu.Caller) bool {
	s, ok := p.sessions.session(caller.Session)
	return ok && s.login.console
}

// attachLocal begins a login of a user of the machine, and its one session.
func (p *People) attachLocal(name string, role menu.Role, console bool) (menu.Caller, <-chan struct{}, func(), error) {
	l, err := p.sessions.login(&login{user: name, role: role, source: access.Local, method: access.Socket})
	if err != nil {
		return menu.Caller{}, nil, nil, err
	}
	l.console = console
	return p.attachOnly(l, "api")
}

// attachOnly begins the one session of a login, with which that ends.
func (p *People) attachOnly(l *login, kind string) (menu.Caller, <-chan struct{}, func(), error) {
	caller, ended, detach, err := p.Attach(l.id, kind)
	if err != nil {
		p.Logout(l.id)
		return menu.Caller{}, nil, nil, err
	}
	return caller, ended, func() { detach(); p.Logout(l.id) }, nil
}

// localAccount returns the account of a user of this machine, empty if there is none.
func (p *People) localAccount(uid uint32) (string, menu.Role) {
	u, ok := p.accounts.get(p.settings.LocalAccount(uid))
	if !ok || u.expired(time.Now()) {
		return "", ""
	}
	return u.User, u.Role
}

// localRoot is the administrator by right of the machine. The name is reserved: no account has it.
const localRoot = "root"

// Current implements api.Logins.
func (p *People) Current(session string) (menu.Caller, error) {
	s, ok := p.sessions.session(session)
	if !ok {
		return menu.Caller{}, errSessionEnded
	}
	return p.callerOf(s.login, s.id)
}

var errSessionEnded = menu.Errorf(menu.Denied, "The session has ended").WithHint("Log in again")

// callerOf returns the owner of a login with the present role.
func (p *People) callerOf(l *login, session string) (menu.Caller, error) {
	if l.user == localRoot {
		return menu.Caller{User: localRoot, Role: menu.Administrator, Source: l.source, Session: session,
			Payload: true}, nil
	}
	if l.pass != nil && p.stands(l.pass, time.Now()) != nil {
		return menu.Caller{}, errSessionEnded
	}
	if o := l.person.Load(); o != nil {
		return p.callerOutside(l, o, session)
	}
	u, ok := p.accounts.get(l.user)
	if !ok || u.expired(time.Now()) {
		return menu.Caller{}, errSessionEnded
	}
	caller := menu.Caller{User: u.User, Role: u.Role, Source: l.source, Session: session,
		Payload: u.Payload || u.Role != menu.Support, Account: u.Created}
	if l.token != "" {
		return p.callerByToken(l, u, caller)
	}
	return caller, nil
}

// Present returns a caller of before with what the account may do now, at most what it might then. It
// is for what is done for people when they are gone. An error says that the account is. Of people
// without an account here only what they might do then is known; of a caller who has a name alone, the
// account.
func (p *People) Present(before menu.Caller) (menu.Caller, error) {
	now := before
	u, ok := p.accounts.get(before.User)
	switch {
	case before.User == localRoot:
		now.Role, now.Payload = menu.Administrator, true
		return now, nil
	case !ok && before.Account.IsZero() && before.Role != "":
		return now, nil
	case !ok, u.expired(time.Now()), before.Role != "" && !u.Created.Equal(before.Account):
		return menu.Caller{}, menu.Errorf(menu.Denied, "The account of %s is gone", menu.Quoted(before.User))
	}
	may := u.Payload || u.Role != menu.Support
	if before.Role == "" {
		now.Role, now.Payload, now.Account = u.Role, may, u.Created
		return now, nil
	}
	if before.Role.Includes(u.Role) {
		now.Role = u.Role
	}
	now.Payload = before.Payload && may
	return now, nil
}

// Greet notes that a person uses the session and returns the part of the greeting that is about the
// person: history, last login, idle time, console.
func (p *People) Greet(caller menu.Caller) access.Greeting {
	p.sessions.greeted(caller.Session)
	g := access.Greeting{Caller: caller, Idle: int(p.settings.IdleTimeout() / time.Second)}
	if caller.Token == "" { // what a person typed is no program's affair
		g.History = p.histories.lines(caller.User)
	}
	u, _ := p.accounts.get(caller.User)
	if p.OnConsole(caller) {
		g.Idle, g.Console = 0, true
	}
	if s, ok := p.sessions.session(caller.Session); ok && s.login.before != nil &&
		!s.login.before.Began.Before(u.Created) {
		g.LastLogin, g.LastFrom = &s.login.before.Began, s.login.before.Source
	}
	return g
}

// Notice returns what the caller must know about the own account, in full sentences; empty if
// nothing.
func (p *People) Notice(caller menu.Caller) string {
	u, _ := p.accounts.get(caller.User)
	switch {
	case u.First:
		return "Your password is the one of the first start. Change it with passwd."
	case u.Expires != nil && time.Until(*u.Expires) < 7*24*time.Hour:
		return "Your account expires on " + u.Expires.Format("2 January 2006 at 15:04 MST") + "."
	}
	return ""
}

// Remember implements api.Appliance.
func (p *People) Remember(user, line string) {
	if err := p.histories.add(user, line); err != nil {
		p.log.Error("a line could not be added to a history", "user", user, "error", err)
	}
}

// SessionOpen reports whether a session has not ended.
func (p *People) SessionOpen(id string) bool {
	_, open := p.sessions.session(id)
	return open
}

// Ending implements api.Sessions.
func (p *People) Ending(session string) access.SessionEnd {
	end := p.sessions.ending(session, p.settings.IdleTimeout(), p.settings.LongestWebSession())
	end.IdleTimeout = p.settings.IdleTimeout()
	s, ok := p.sessions.session(session)
	if !ok {
		return end
	}
	var last time.Time
	if o := s.login.person.Load(); o != nil {
		last = p.lastMoment(s.login, o)
	} else if t, byToken := p.tokens.Get(s.login.token); byToken {
		last = t.Expires
	}
	if s.login.pass != nil {
		last = s.login.pass.Ends()
	}
	if !last.IsZero() && (end.Absolute.IsZero() || last.Before(end.Absolute)) {
		end.Absolute = last
	}
	return end
}

// Running implements api.Logins.
func (p *People) Running(session, path string, background bool) func() {
	return p.sessions.running(session, path, background)
}

// Alive implements api.Logins.
func (p *People) Alive(session string) { p.sessions.alive(session) }

// Sessions lists the sessions, the oldest first.
func (p *People) Sessions() []access.Session {
	list := p.sessions.list()
	for i := range list {
		list[i].Role = p.roleOf(list[i])
	}
	return list
}

// Session returns an open session. It reports false if it has ended.
func (p *People) Session(id string) (access.Session, bool) {
	for _, s := range p.Sessions() {
		if s.ID == id {
			return s, true
		}
	}
	return access.Session{}, false
}

// roleOf returns the role that a session has now.
func (p *People) roleOf(s access.Session) menu.Role {
	if s.Role != "" {
		return s.Role // a server said it
	}
	role := menu.Administrator
	if u, ok := p.accounts.get(s.User); ok {
		role = u.Role
	}
	if t, ok := p.tokens.Get(s.Token); ok {
		role = access.LesserRole(t.Role, role)
	}
	return role
}

// PastLogins lists logins of the past, the newest first: at most newest, or all that are kept if
// newest is 0.
func (p *People) PastLogins(newest int) []access.PastLogin { return p.past.List(newest) }
