package people

import (
	"errors"
	"fmt"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people/passes"
	"diagsh/internal/menu"
)

// Grant makes a pass for the owner of a login, which the client uses instead of the password or the
// token that opened the login. Only these: a front that was taken over sees them in any case, and gets by
// a pass nothing that it does not have. A pass opens no login that gets another one, so that nobody comes
// in for longer than its hour.
func (p *People) Grant(loginID, client string) (access.Pass, error) {
	l, open := p.sessions.find(loginID)
	switch {
	case p.passes == nil:
		return access.Pass{}, menu.Errorf(menu.NotFound, "This appliance does not answer clients of Azure").
			WithHint("Its owner names a subscription under azure in the configuration file")
	case !open:
		return access.Pass{}, errSessionEnded
	case l.pass != nil || l.method != access.Password && l.method != access.ByToken && l.method != access.LDAP && l.method != access.RADIUS:
		return access.Pass{}, menu.Errorf(menu.Denied, "A pass is for a password or a token")
	}
	now := time.Now()
	of := passes.Pass{Tenant: p.settings.Azure().Subscription, User: l.user, Client: menu.Bounded(client, maxClient)}
	var last time.Time
	u, _ := p.accounts.get(l.user)
	switch o := l.person.Load(); {
	case o != nil:
		person := o.Person
		person.Groups = nil // a server says them again
		of.Person, last = &person, p.lastMoment(l, o)
	case l.token != "":
		t, _ := p.tokens.Get(l.token)
		of.Account, of.Token, of.TokenMade, last = u.Created, t.ID, t.Created, t.Expires
	default:
		of.Account, of.Proof = u.Created, p.passes.Proof(u.Password)
	}
	made, text, err := p.passes.Make(of, now, last)
	if err != nil {
		return access.Pass{}, menu.Failing("make the pass", err)
	}
	// A login that ends in this moment may have lost what opened it; the pass of another one would say
	// what holds now.
	if _, open := p.sessions.find(loginID); !open {
		return access.Pass{}, errSessionEnded
	}
	p.audit.Record(access.Event{Act: access.ActSystem, User: l.user, Role: l.role, Source: l.source, Session: l.id,
		Token: l.token, Result: "ok", Message: fmt.Sprintf("A pass for a client of Azure was made, until %s", menu.UTC(made.Ends()))})
	return access.Pass{Text: text, Tenant: made.Tenant, Client: made.Client, Expires: made.Ends()}, nil
}

// maxClient bounds the name by which a client calls itself, in bytes.
const maxClient = 100

// Reasons why a pass does not hold any more, for the audit log.
var (
	errPassAccount  = errors.New("the account of the pass is gone")
	errPassExpired  = errors.New("the account has expired")
	errPassPassword = errors.New("the password was changed after the pass was made")
	errPassToken    = errors.New("the token that the pass was made for has ended")
)

// stands returns why what a pass was made for does not hold any more, or nil.
func (p *People) stands(pass *passes.Pass, now time.Time) error {
	if !now.Before(pass.Ends()) {
		return passes.ErrExpired
	}
	if pass.Person != nil {
		if taken := p.takenName(pass.User); taken != "" {
			return errors.New(taken)
		}
		return nil
	}
	u, ok := p.accounts.get(pass.User)
	t, token := p.tokens.Get(pass.Token)
	switch {
	case !ok || !u.Created.Equal(pass.Account):
		return errPassAccount
	case u.expired(now):
		return errPassExpired
	case pass.Token == "" && (u.Password == "" || p.passes.Proof(u.Password) != pass.Proof):
		return errPassPassword
	case pass.Token != "" && (!token || !t.Created.Equal(pass.TokenMade) || !now.Before(t.Expires)):
		return errPassToken
	}
	return nil
}

// loginByPass begins a login of a client by a pass.
func (p *People) loginByPass(c access.Credentials) (access.Login, error) {
	refusal := menu.Errorf(menu.Denied, "The token is not valid").WithHint("Log in again")
	now := time.Now()
	pass, err := p.passes.Check(c.Token, now)
	c.User = pass.User
	if err == nil {
		err = p.stands(&pass, now)
	}
	if err == nil && pass.Token != "" {
		err = p.tokens.CheckSource(pass.Token, c.Source)
	}
	if err != nil {
		p.recordWrongToken(c, access.Token{ID: pass.Token}, err)
		return access.Login{}, refusal
	}
	u, _ := p.accounts.get(pass.User)
	one := &login{user: pass.User, role: u.Role, source: c.Source, method: access.ByPass, token: pass.Token, pass: &pass}
	if pass.Person != nil {
		one.role = pass.Person.Role
		// A server is asked at the next sweep whether the role is still what it was.
		one.person.Store(&outsider{Person: *pass.Person, asked: time.Unix(pass.Issued, 0)})
	}
	l, err := p.sessions.login(one)
	if err != nil {
		p.recordWrongToken(c, access.Token{ID: pass.Token}, err)
		return access.Login{}, err
	}
	if pass.Token != "" {
		p.tokens.Used(pass.Token, c.Source, now)
	}
	return p.begun(l)
}

// sweepPasses ends the logins of passes that do not hold any more.
func (p *People) sweepPasses(now time.Time) {
	for _, l := range p.sessions.all() {
		if l.pass == nil {
			continue
		}
		if err := p.stands(l.pass, now); err != nil {
			p.sessions.endWhere(err.Error(), func(other *login) bool { return other == l })
		}
	}
}
