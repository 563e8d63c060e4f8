package people

import (
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// What is done for people who are gone is done with what their account may now, and at most with what
// they might when they asked.
func TestPresent(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir()})
	create := func(user string, role menu.Role, payload bool) time.Time {
		t.Helper()
		account := access.Account{User: user, Role: role, Payload: payload}
		if role == menu.Support {
			account.Expires = new(time.Now().Add(time.Hour))
		}
		roomtest.WantCode(t, b.CreateAccount(account, "long enough!"), 0)
		u, _ := b.accounts.get(user)
		return u.Created
	}
	op, support, trusted := create("ann", menu.Operator, false), create("sue", menu.Support, false), create("tom", menu.Support, true)
	for name, test := range map[string]struct {
		before  menu.Caller
		role    menu.Role
		payload bool
		gone    bool
	}{
		"as it was":                      {menu.Caller{User: "ann", Role: menu.Operator, Payload: true, Account: op}, menu.Operator, true, false},
		"lower now":                      {menu.Caller{User: "ann", Role: menu.Administrator, Payload: true, Account: op}, menu.Operator, true, false},
		"asked with less":                {menu.Caller{User: "ann", Role: menu.ReadOnly, Account: op}, menu.ReadOnly, false, false},
		"the name alone":                 {menu.Caller{User: "ann"}, menu.Operator, true, false},
		"support had contents":           {menu.Caller{User: "sue", Role: menu.Support, Payload: true, Account: support}, menu.Support, false, false},
		"support may see contents":       {menu.Caller{User: "tom", Role: menu.Support, Payload: true, Account: trusted}, menu.Support, true, false},
		"support asked for headers":      {menu.Caller{User: "tom", Role: menu.Support, Account: trusted}, menu.Support, false, false},
		"another account of the name":    {menu.Caller{User: "ann", Role: menu.Operator, Account: op.Add(-time.Hour)}, "", false, true},
		"deleted":                        {menu.Caller{User: "bob", Role: menu.Operator, Account: op}, "", false, true},
		"a name that is nobody's":        {menu.Caller{User: "bob"}, "", false, true},
		"of a directory":                 {menu.Caller{User: "ldap", Role: menu.Support}, menu.Support, false, false},
		"of a directory, now an account": {menu.Caller{User: "ann", Role: menu.Administrator}, "", false, true},
		"the machine's root":             {menu.Caller{User: localRoot}, menu.Administrator, true, false},
	} {
		now, err := b.Present(test.before)
		if test.gone {
			if err == nil || menu.AsError(err).Code != menu.Denied {
				t.Errorf("%s: %+v, %v", name, now, err)
			}
			continue
		}
		if err != nil || now.Role != test.role || now.Payload != test.payload || now.User != test.before.User {
			t.Errorf("%s: %+v, %v", name, now, err)
		}
	}
}
