package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people/loginlog"
	"diagsh/internal/menu"
)

// A Directory asks servers about people who have no account here. Its methods may be called from
// any goroutine. What a server refuses is a *access.SignInError.
type Directory interface {
	// AsksPasswords reports whether a server is configured that checks passwords.
	AsksPasswords() bool

	// AskPerson returns who a user is, if a server takes the password.
	AskPerson(ctx context.Context, user string, password menu.Secret, source string) (access.Person, error)

	// RenewPerson returns who a person is now. It is access.ErrNoRecheck where that cannot be asked.
	RenewPerson(ctx context.Context, p access.Person) (access.Person, error)

	// EndSignIn returns who a browser is that comes back from a provider.
	EndSignIn(ctx context.Context, c access.Callback) (access.Person, error)
}

// Bounds of the questions to servers: so many at a time, and so many that wait.
const (
	askingSlots = 16
	askingQueue = 256
)

// errNoAnswer is told where nothing was found out about the password.
var errNoAnswer = menu.Errorf(menu.State, "The servers that know users do not answer").
	WithHint("Try again later, or log in with an account of the appliance")

// asksOutside reports whether a server is to be asked about a password, and returns the name in the
// form that it is asked by. A name that an account has is that account's, in whatever letters: an
// account of the appliance waits for no server.
func (p *People) asksOutside(c access.Credentials) (name string, ok bool) {
	name = strings.ToLower(c.User)
	if c.Key != nil || p.directory == nil || !p.directory.AsksPasswords() || p.takenName(name) != "" {
		return "", false
	}
	return name, true
}

// takenName says why a person who has no account here cannot have a name, or "".
func (p *People) takenName(name string) string {
	switch _, exists := p.accounts.get(name); {
	case exists:
		return "an account of the appliance has this name"
	case !access.PlainUserName(name):
		return "that is not a user name"
	case slices.Contains(reservedUsers(), name):
		return "the name is reserved"
	}
	return ""
}

// loginOutside logs somebody in whom a server knows, by a password. Wrong ones are slowed down and
// locked as those of accounts are.
func (p *People) loginOutside(ctx context.Context, c access.Credentials) (access.Login, error) {
	trusted := p.past.Trusted(c.User, loginlog.SourceKey(c.Source), time.Time{})
	a, err := p.guard.admitOutside(ctx, c.User, c.Source, trusted)
	if err == nil {
		if err = p.asking.enter(ctx, c.Source); err != nil {
			a.end()
		}
	}
	if err != nil {
		p.recordUnchecked(c, err)
		return access.Login{}, menu.Failing("check the login", err)
	}
	person, err := p.directory.AskPerson(ctx, c.User, c.Password, c.Source)
	p.asking.leave()
	refused, isRefusal := errors.AsType[*access.SignInError](err)
	switch {
	case err != nil && (ctx.Err() != nil || !isRefusal):
		a.end()
		return access.Login{}, menu.Failing("check the login", err)
	case isRefusal && refused.Unanswered: // nothing was found out about the password, so it is no failure
		a.end()
		p.recordRefusal(c, access.Password, refused.Reason)
		return access.Login{}, errNoAnswer
	case isRefusal:
		p.settle(a, refused.NoRole, c.User, c.Source)
		p.recordRefusal(c, access.Password, refused.Reason)
		return access.Login{}, errWrongPassword
	}
	p.settle(a, true, c.User, c.Source)
	return p.admitPerson(c, person)
}

// loginByCallback logs somebody in who comes back from a provider. There is no password to guess.
func (p *People) loginByCallback(ctx context.Context, c access.Credentials) (access.Login, error) {
	if p.directory == nil {
		return access.Login{}, menu.Errorf(menu.NotFound, "No provider of logins is configured")
	}
	person, err := p.directory.EndSignIn(ctx, *c.Callback)
	c.User = person.User
	if err == nil {
		if taken := p.takenName(person.User); taken != "" {
			err = &access.SignInError{Reason: "oidc: " + taken}
		}
	}
	if refused, ok := errors.AsType[*access.SignInError](err); ok {
		if leftOut, due := p.wrongTokens.Due(time.Now()); due {
			if leftOut > 0 {
				refused.Reason += fmt.Sprintf(" (%d more were refused since the last such line)", leftOut)
			}
			p.recordRefusal(c, access.OIDC, refused.Reason)
		}
		if refused.Unanswered {
			return access.Login{}, errNoAnswer
		}
		return access.Login{}, menu.Errorf(menu.Denied, "The provider's answer does not let you in").
			WithHint("Try again, or ask an administrator to look into the audit log")
	}
	if err != nil {
		return access.Login{}, menu.Failing("check the login", err)
	}
	return p.admitPerson(c, person)
}

// admitPerson begins the login of a person that a server let in.
func (p *People) admitPerson(c access.Credentials, person access.Person) (access.Login, error) {
	one := &login{user: person.User, role: person.Role, source: c.Source, method: person.Method}
	one.person.Store(&outsider{Person: person, asked: time.Now()})
	l, err := p.sessions.login(one)
	if err != nil {
		p.recordRefusal(c, person.Method, err.Error())
		return access.Login{}, err
	}
	return p.begun(l)
}

// An outsider is a person and when a server was asked last.
type outsider struct {
	access.Person
	asked time.Time
}

// callerOutside returns the caller of a login of a person that has no account here.
func (p *People) callerOutside(l *login, o *outsider, session string) (menu.Caller, error) {
	if p.takenName(l.user) != "" || p.overdue(l, o, time.Now()) != "" {
		return menu.Caller{}, errSessionEnded
	}
	return menu.Caller{User: l.user, Role: o.Role, Source: l.source, Session: session, Payload: o.Role != menu.Support}, nil
}

// lastMoment returns when a login of such a person ends at the latest: as the server said, and after
// the longest time of such logins.
func (p *People) lastMoment(l *login, o *outsider) time.Time {
	last := l.began.Add(p.settings.SignIn().LongestSession)
	if !o.Until.IsZero() && o.Until.Before(last) {
		return o.Until
	}
	return last
}

// overdue says why a login of such a person must end at a moment, or "".
func (p *People) overdue(l *login, o *outsider, now time.Time) string {
	switch {
	case !now.Before(p.lastMoment(l, o)):
		return "the longest time of a login by " + o.Method + " is over"
	case p.takenName(l.user) != "":
		return "an account of this name was made"
	}
	return ""
}

// sweepOutside ends logins that are overdue, and has servers asked again about the others.
func (p *People) sweepOutside(now time.Time) {
	var due []*login
	for _, l := range p.sessions.all() {
		o := l.person.Load()
		if o == nil {
			continue
		}
		if reason := p.overdue(l, o, now); reason != "" {
			p.sessions.endWhere(reason, func(other *login) bool { return other == l })
			continue
		}
		if o.Method == access.LDAP && now.Sub(o.asked) >= p.settings.SignIn().LDAP.Recheck {
			due = append(due, l)
		}
	}
	// One round at a time: servers that do not answer take their time.
	if len(due) > 0 && p.renewing.TryLock() {
		p.renewals.Go(func() {
			defer p.renewing.Unlock()
			for _, l := range due {
				p.renew(l)
			}
		})
	}
}

// renew asks a server again about the owner of a login. A role that was taken away is gone from now
// on, and what runs by it ends; who has none any more is logged out. While no server answers, what it
// said last holds.
func (p *People) renew(l *login) {
	before := l.person.Load()
	now, err := p.directory.RenewPerson(p.renewCtx, before.Person)
	next := outsider{Person: before.Person, asked: time.Now()}
	refused, isRefusal := errors.AsType[*access.SignInError](err)
	switch {
	case isRefusal && !refused.Unanswered:
		p.sessions.endWhere(refused.Reason, func(other *login) bool { return other == l })
		return
	case err == nil:
		next.Role, next.Groups = now.Role, now.Groups
	}
	l.person.Store(&next)
	if !next.Role.Includes(before.Role) || next.Role == menu.Support && before.Role != menu.Support {
		p.sessions.endWhere("rights taken away", func(other *login) bool { return other == l && p.sessions.busy(l) })
	}
}
