package people

import (
	"context"
	"slices"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Accounts lists all accounts by name.
func (p *People) Accounts() []access.Account {
	locks := p.guard.locks()
	var list []access.Account
	for _, u := range p.accounts.now.Load().sorted() {
		list = append(list, p.complete(u, locks))
	}
	return list
}

// Account returns the account of a name.
func (p *People) Account(name string) (access.Account, error) {
	r := p.accounts.now.Load()
	u, ok := r.users[name]
	if !ok {
		return access.Account{}, noSuchUser(name, r.users)
	}
	return p.complete(u, p.guard.locks()), nil
}

// complete returns the account of a user with last login and lock, which are kept elsewhere.
func (p *People) complete(u user, locks map[string]time.Time) access.Account {
	a := u.account()
	if v, ok := p.past.Last(u.User); ok && !v.Began.Before(u.Created) {
		a.LastLogin, a.LastFrom = &v.Began, v.Source
	}
	if until, ok := locks[u.User]; ok {
		a.Locked = &until
	}
	return a
}

// CheckNewUser returns why a new account cannot have this name, or nil.
func (p *People) CheckNewUser(name string) error {
	if err := checkUserName(name); err != nil {
		return err
	}
	if _, exists := p.accounts.get(name); exists {
		return userExists(name)
	}
	return nil
}

// CreateAccount adds an account. Without a password it needs a key to log in.
func (p *People) CreateAccount(a access.Account, password menu.Secret) error {
	if err := p.CheckNewUser(a.User); err != nil {
		return err
	}
	if err := checkAccount(a); err != nil {
		return err
	}
	if err := p.checkExpiry(a); err != nil {
		return err
	}
	u := user{User: a.User, FullName: a.FullName, Role: a.Role, Payload: a.Payload || a.Role != menu.Support,
		Expires: a.Expires, Created: time.Now()}
	for _, k := range a.Keys {
		parsed, _, err := parseKey(k.Text)
		if err != nil {
			return err
		}
		u.Keys = append(u.Keys, parsed.Text)
	}
	if password != "" {
		if err := checkPassword(a.User, password); err != nil {
			return err
		}
		u.Password = p.hasher.hash(password)
	}
	return menu.Failing("create the user", p.accounts.update(func(users map[string]user) error {
		if _, exists := users[a.User]; exists {
			return userExists(a.User)
		}
		users[a.User] = u
		return nil
	}))
}

func userExists(name string) error {
	return &menu.Error{Code: menu.State, Argument: "user", Message: "There is a user " + name + " already",
		Hint: "Choose another name"}
}

// checkExpiry returns an error if the expiry is in the past, or missing for a Support account.
func (p *People) checkExpiry(a access.Account) error {
	switch {
	case a.Expires == nil && a.Role == menu.Support:
		return menu.BadArgument("expirytime", "A support account must expire").WithHint("Give it a time, such as 7d")
	case a.Expires != nil && !a.Expires.After(time.Now()):
		return menu.BadArgument("expirytime", "The expiry time is in the past").WithHint("Give a future date")
	}
	return nil
}

// UpdateAccount changes full name, role, payload access and expiry of an account. Its sessions have
// the new role at once. An expiry in the past ends them. If the account has fewer rights than
// before, its logins that are busy end, because what runs is not checked again. The login that the
// session by belongs to stays. It returns how many logins were ended.
func (p *People) UpdateAccount(a access.Account, by string) (ended int, err error) {
	if err := checkAccount(a); err != nil {
		return 0, err
	}
	if a.Expires == nil && a.Role == menu.Support {
		return 0, p.checkExpiry(a)
	}
	var before, after user
	if err := p.accounts.updateUser(a.User, func(u *user) error {
		before = *u
		u.FullName, u.Role, u.Expires = a.FullName, a.Role, a.Expires
		u.Payload = a.Payload || a.Role != menu.Support
		after = *u
		return nil
	}); err != nil {
		return 0, menu.Failing("change the user", err)
	}
	switch {
	case after.expired(time.Now()):
		return p.sessions.endUser(a.User, "account expired"), nil
	case !after.Role.Includes(before.Role) || before.Payload && !after.Payload:
		return p.sessions.endOthers(by, "rights taken away", func(l *login) bool {
			return l.user == a.User && p.sessions.busy(l)
		}), nil
	}
	return 0, nil
}

// DeleteAccount removes an account, ends its logins and returns their number. The files of its
// captures and its lines in the audit log stay.
func (p *People) DeleteAccount(name string) (ended int, err error) {
	err = p.accounts.update(func(users map[string]user) error {
		if _, ok := users[name]; !ok {
			return noSuchUser(name, users)
		}
		delete(users, name)
		return nil
	})
	if err == nil {
		if name == FirstAdministrator {
			p.forgetFirstPassword()
		}
		ended = p.sessions.endUser(name, "account deleted")
		if _, err := p.deleteTokens("", "account deleted", func(t access.Token) bool { return t.User == name }); err != nil {
			// An account of this name that is made later does not have them: it is younger.
			p.log.Error("the tokens of a deleted account are still in the file", "user", name, "error", err)
		}
		p.guard.unlock(name)
		p.histories.forget(name)
		p.onDeleted(name)
	}
	return ended, menu.Failing("delete the user", err)
}

// SetPassword changes the password of an account and ends its logins, because an attacker may be in
// by the old one. Tokens stay, and what is logged in by them. The login that the session by belongs
// to stays: it is of a user who changes the own password. It returns how many were ended.
func (p *People) SetPassword(name string, password menu.Secret, by string) (ended int, err error) {
	if _, err := p.Account(name); err != nil {
		return 0, err
	}
	if err := checkPassword(name, password); err != nil {
		return 0, err
	}
	hash := p.hasher.hash(password)
	if err := p.accounts.updateUser(name, func(u *user) error {
		u.Password, u.First = hash, false
		return nil
	}); err != nil {
		return 0, menu.Failing("set the password", err)
	}
	if name == FirstAdministrator {
		p.forgetFirstPassword()
	}
	return p.sessions.endOthers(by, "password changed", func(l *login) bool { return l.user == name && l.token == "" }), nil
}

// CheckPassword returns nil if password is that of the account. A user who is logged in proves it
// again so. Guessing is slowed down as at a login, and does not count against the account's logins.
func (p *People) CheckPassword(ctx context.Context, name string, password menu.Secret) error {
	if name == localRoot {
		return menu.Errorf(menu.State, "root is a user of the machine and has no password here")
	}
	u, exists := p.accounts.get(name)
	if !exists {
		return menu.Errorf(menu.State, "%s has no account here, and so no password", name).
			WithHint("Change it where it is kept")
	}
	ok, err := p.tryPassword(ctx, u, name, "session of "+name, password)
	switch {
	case err != nil:
		return menu.Failing("check the password", err)
	case !ok:
		return &menu.Error{Code: menu.Denied, Argument: "password", Message: "That is not the present password"}
	}
	return nil
}

// AddKey adds a public key to an account: a line in the form of authorized_keys(5) without options.
func (p *People) AddKey(name, line string) (access.Key, error) {
	k, _, err := parseKey(line)
	if err != nil {
		return k, err
	}
	err = p.accounts.updateUser(name, func(u *user) error {
		if u.hasKey(k.Fingerprint) {
			return &menu.Error{Code: menu.State, Argument: "key", Message: "The user " + name + " has this key already"}
		}
		if len(u.Keys) >= maxKeys {
			return menu.Errorf(menu.State, "The user %s has %d keys, which is the most", name, maxKeys).
				WithHint("Remove one first")
		}
		u.Keys = append(u.Keys, k.Text)
		return nil
	})
	return k, menu.Failing("add the key", err)
}

// RemoveKey removes a public key from an account, by its fingerprint as in access.Key. It ends the
// logins that began with that key, because an attacker may have it. The login that the session by
// belongs to stays. It returns how many were ended.
func (p *People) RemoveKey(name, fingerprint, by string) (ended int, err error) {
	if err := p.accounts.updateUser(name, func(u *user) error {
		i := slices.IndexFunc(u.keys, func(k access.Key) bool {
			return k.Fingerprint == fingerprint || k.Fingerprint == "SHA256:"+fingerprint
		})
		if i < 0 {
			return &menu.Error{Code: menu.NotFound, Argument: "key",
				Message: "The user " + name + " has no key with that fingerprint"}
		}
		fingerprint = u.keys[i].Fingerprint
		u.Keys = slices.Delete(u.Keys, i, i+1)
		return nil
	}); err != nil {
		return 0, menu.Failing("remove the key", err)
	}
	return p.sessions.endOthers(by, "key removed", func(l *login) bool {
		return l.user == name && l.key == fingerprint
	}), nil
}

// UnlockAccount forgets the failed logins for an account.
func (p *People) UnlockAccount(name string) error {
	if _, err := p.Account(name); err != nil {
		return err
	}
	p.guard.unlock(name)
	return nil
}
