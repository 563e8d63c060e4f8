package people

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people/passes"
	"diagsh/internal/daemon/tokens"
	"diagsh/internal/menu"
)

// CreateToken makes a token of the caller's own account, and returns it with the text that is shown
// once. Name, role, end, sources and paths are those of wanted; the role is empty for that of the
// account. A caller who came by a token makes none: it could outlive the first one.
func (p *People) CreateToken(caller menu.Caller, wanted access.Token) (access.Token, menu.Secret, error) {
	fail := func(err error) (access.Token, menu.Secret, error) { return access.Token{}, "", err }
	u, ok := p.accounts.get(caller.User)
	switch {
	case caller.Token != "":
		return fail(menu.Errorf(menu.Denied, "A token cannot make tokens").
			WithHint("Log in with a password or a key and make it there"))
	case !ok:
		return fail(menu.Errorf(menu.State, "%s has no account here that a token could be of", caller.User).
			WithHint("Log in with an account of the appliance"))
	}
	if wanted.Role == "" {
		wanted.Role = u.Role
	}
	if wanted.Role.Valid() && access.LesserRole(wanted.Role, u.Role) != wanted.Role {
		return fail(menu.BadArgument("role", "Your account is %s, so the token cannot be %s", u.Role, wanted.Role).
			WithHint("Choose %s or less", u.Role))
	}
	wanted.User = u.User
	made, text, err := p.tokens.Make(wanted)
	if err != nil {
		return fail(err)
	}
	p.audit.Record(access.Event{Act: access.ActSystem, User: caller.User, Role: caller.Role, Source: caller.Source,
		Session: caller.Session, Token: made.ID, Result: "ok",
		Message: fmt.Sprintf("The token %s was made: %s, until %s", menu.Quoted(made.Name), made.Role, menu.UTC(made.Expires))})
	return made, text, nil
}

// CheckSources returns why these cannot be the networks of a token, or nil.
func (p *People) CheckSources(list []string) error {
	_, err := tokens.Networks(list)
	return err
}

// Tokens returns the tokens that the caller may see: an administrator all, everybody else those of
// their own account.
func (p *People) Tokens(caller menu.Caller) []access.Token {
	if caller.Role == menu.Administrator {
		return p.tokens.List("")
	}
	return p.tokens.List(caller.User)
}

// DeleteToken deletes a token that the caller may see, by its identifier or by its name. Of tokens
// of one name it is the caller's own. It ends the sessions of the token and returns their number.
func (p *People) DeleteToken(caller menu.Caller, which string) (deleted access.Token, ended int, err error) {
	seen := p.Tokens(caller)
	named := slices.DeleteFunc(slices.Clone(seen), func(t access.Token) bool { return t.Name != which })
	i := slices.IndexFunc(seen, func(t access.Token) bool {
		return t.ID == which || t.Name == which && (t.User == caller.User || len(named) == 1)
	})
	switch {
	case i < 0 && len(named) > 1:
		return access.Token{}, 0, &menu.Error{Code: menu.State, Argument: "token",
			Message: "Several users have a token of that name", Hint: "Name it as `token list` does in its first column"}
	case i < 0:
		return access.Token{}, 0, &menu.Error{Code: menu.NotFound, Argument: "token",
			Message: "You have no token " + menu.Quoted(which), Hint: "`token list` shows those that there are"}
	case caller.Token != "" && caller.Token != seen[i].ID && caller.Role != menu.Administrator:
		return access.Token{}, 0, menu.Errorf(menu.Denied, "A token deletes no token but itself, unless it is an administrator's").
			WithHint("Log in with a password or a key and delete it there")
	}
	ended, err = p.deleteTokens(caller.Session, "token deleted", func(t access.Token) bool { return t.ID == seen[i].ID })
	return seen[i], ended, err
}

// deleteTokens deletes the tokens that are chosen, and ends their logins but for that of the session
// by, which must still get its answer: it can do nothing more.
func (p *People) deleteTokens(by, reason string, chosen func(access.Token) bool) (ended int, err error) {
	deleted, err := p.tokens.Delete(chosen)
	if err != nil {
		return 0, err
	}
	gone := map[string]bool{}
	for _, t := range deleted {
		gone[t.ID] = true
	}
	return p.sessions.endOthers(by, reason, func(l *login) bool { return gone[l.token] }), nil
}

// loginByToken begins a login of a program. It is in no log of logins, as that of a program on the
// socket is not: the audit log has the acts, with the token.
func (p *People) loginByToken(c access.Credentials) (access.Login, error) {
	refusal := menu.Errorf(menu.Denied, "The token is not valid").
		WithHint("Make another one with `token new`, or look at yours with `token list`")
	now := time.Now()
	t, err := p.tokens.Check(c.Token, c.Source, now)
	if named := c.User; err == nil && named != "" && named != t.Name && named != t.ID {
		err = errors.New("the token has another name than the one that came with it")
	}
	c.User = t.User
	if err != nil {
		p.recordWrongToken(c, t, err)
		return access.Login{}, refusal
	}
	u, ok := p.accounts.get(t.User)
	switch {
	case !ok || t.Created.Before(u.Created):
		p.recordWrongToken(c, t, errors.New("there is no such user any more"))
		return access.Login{}, refusal
	case u.expired(now):
		p.recordWrongToken(c, t, errors.New("the account has expired"))
		return access.Login{}, refusal
	}
	l, err := p.sessions.login(&login{user: u.User, role: access.LesserRole(t.Role, u.Role), source: c.Source,
		method: access.ByToken, token: t.ID})
	if err != nil {
		p.recordWrongToken(c, t, err)
		return access.Login{}, err
	}
	p.tokens.Used(t.ID, c.Source, now)
	return p.begun(l)
}

// recordWrongToken records that a token was refused. Sending one costs a client nothing, so these
// lines are bounded as those about connections without a login are.
func (p *People) recordWrongToken(c access.Credentials, t access.Token, reason error) {
	leftOut, ok := p.wrongTokens.Due(time.Now())
	if !ok {
		return
	}
	method := access.ByToken
	if passes.IsOne(c.Token) {
		method = access.ByPass
	}
	message := "Login refused: " + reason.Error()
	if leftOut > 0 {
		message += fmt.Sprintf(" (%d more tokens were refused since the last such line)", leftOut)
	}
	p.audit.Refused(p.known(c.User), access.Event{Act: access.ActRefused, User: c.User, Source: c.Source, Token: t.ID,
		Arguments: map[string]string{"method": method}, Result: menu.Denied.String(), Exit: int(menu.Denied),
		Message: message})
}

// callerByToken returns the caller of a login that a token opened, as of now: the account's rights
// within those of the token.
func (p *People) callerByToken(l *login, u user, caller menu.Caller) (menu.Caller, error) {
	t, ok := p.tokens.Get(l.token)
	if !ok || !time.Now().Before(t.Expires) || t.Created.Before(u.Created) {
		return menu.Caller{}, menu.Errorf(menu.Denied, "The token has ended").WithHint("Make another one with `token new`")
	}
	caller.Token, caller.Paths = t.ID, t.Paths
	caller.Role = access.LesserRole(t.Role, u.Role)
	// A token for a Support account or less than that sees no payload that a Support account would not.
	caller.Payload = caller.Payload && (caller.Role != menu.Support || u.Role == menu.Support)
	return caller, nil
}

// sweepTokens ends the logins of tokens that have expired.
func (p *People) sweepTokens(now time.Time) {
	expired := map[string]bool{}
	for _, t := range p.tokens.List("") {
		if !now.Before(t.Expires) {
			expired[t.ID] = true
		}
	}
	if len(expired) > 0 {
		p.sessions.endWhere("token expired", func(l *login) bool { return expired[l.token] })
	}
	if err := p.tokens.Sweep(now); err != nil {
		p.log.Error("the use of tokens could not be written", "error", err)
	}
}
