package userconfig

import (
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

func accountTable(w io.Writer, list []access.Account) {
	t := tables.Table{Head: []string{"USER", "FULL NAME", "ROLE", "LOGS IN BY", "LAST LOGIN (UTC)", "NOTES"},
		Spare: []string{"FULL NAME", "LOGS IN BY"}}
	for _, a := range list {
		var by, notes []string
		if a.Password {
			by = append(by, "password")
		}
		if n := len(a.Keys); n > 0 {
			by = append(by, tables.Whole(fmt.Sprintf("keys (%d)", n)))
		}
		if a.Expires != nil {
			notes = append(notes, "expires "+tables.Whole(a.Expires.UTC().Format("2006-01-02 15:04 UTC")))
		}
		if a.Locked != nil {
			notes = append(notes, "locked until "+a.Locked.UTC().Format("15:04:05 UTC"))
		}
		if a.Role == menu.Support && a.Payload {
			notes = append(notes, "sees packet contents")
		}
		last := "never"
		if a.LastLogin != nil {
			last = fmt.Sprintf("%s from %s", tables.Whole(a.LastLogin.UTC().Format(tables.Minute)), a.LastFrom)
		}
		t.Add(a.User, tables.OrDash(a.FullName), string(a.Role), tables.OrDash(strings.Join(by, ", ")), last,
			tables.OrDash(strings.Join(notes, ", ")))
	}
	t.Write(w)
}

func accountText(w io.Writer, a access.Account) {
	accountTable(w, []access.Account{a})
	for _, k := range a.Keys {
		fmt.Fprintf(w, "Key: %s %s %s\n", k.Type, k.Fingerprint, k.Comment)
	}
}

// chooseUser offers the accounts by name.
func chooseUser(s Services, q *menu.Question) {
	for _, a := range s.Accounts() {
		q.Choices = append(q.Choices, menu.Choice{Value: a.User, Label: fmt.Sprintf("%s (%s)", a.User, a.Role)})
	}
	q.Open = true // for an unknown user Run returns NotFound
}

// askOf prepares a question of a command about an account. For the question user it offers the
// accounts. For a later one it calls of with the account that was named.
func askOf(s Services, user string, q *menu.Question, of func(access.Account) error) error {
	if q.Name == "user" {
		chooseUser(s, q)
		return nil
	}
	account, err := s.Account(user)
	if err != nil {
		return menu.Blame("user", err)
	}
	return of(account)
}

// askRole offers the roles with an explanation.
func askRole(q *menu.Question) {
	q.Choices = []menu.Choice{
		{Value: string(menu.Administrator), Label: "administrator - everything", Help: "Everything."},
		{Value: string(menu.Operator), Label: "operator - diagnostics, captures and their files",
			Help: "Diagnostics, captures and their files."},
		{Value: string(menu.ReadOnly), Label: "readonly - tables and status only", Help: "Tables and status only."},
		{Value: string(menu.Support), Label: "support - as operator, expires, packet headers only",
			Help: "As operator; expires; packet headers only."},
	}
}

// supportDays is after how many days a support account expires if no expiry time is given.
const supportDays = 7

// supportExpiry returns the expiry time of a support account if none is given.
func supportExpiry() *time.Time {
	t := time.Now().AddDate(0, 0, supportDays).Truncate(time.Second)
	return &t
}

// expiry returns the expiry time that was given, nil for none or unlimited.
func expiry(given *time.Time) *time.Time {
	if given == nil || given.IsZero() {
		return nil
	}
	return given
}

// checkExpiry refuses an expiry time in the past.
func checkExpiry(given *time.Time) error {
	if end := expiry(given); end != nil && !end.After(time.Now()) {
		return menu.BadArgument("expirytime", "The expiry time is in the past").WithHint("Give a future date")
	}
	return nil
}

// A changedAccount is an account after a change, with the number of its logins that the change
// ended.
type changedAccount struct {
	access.Account
	Ended int `json:"loginsEnded"`
}

func changedText(w io.Writer, c changedAccount) {
	accountText(w, c.Account)
	endedText(w, c)
}

// endedText writes how many logins were ended, nothing if none.
func endedText(w io.Writer, c changedAccount) {
	switch {
	case c.Ended == 1:
		fmt.Fprintf(w, "1 login of %s was ended.\n", c.User)
	case c.Ended > 1:
		fmt.Fprintf(w, "%d logins of %s were ended.\n", c.Ended, c.User)
	}
}

func update(s Services, caller menu.Caller, account access.Account, out *menu.Out[changedAccount]) error {
	ended, err := s.UpdateAccount(account, caller.Session)
	if err != nil {
		return err
	}
	out.Printf("User %s changed.\n", account.User)
	return yieldChanged(s, account.User, ended, out)
}

// yieldAccount yields the account of a user as it is now.
func yieldAccount(s Services, user string, out *menu.Out[access.Account]) error {
	account, err := s.Account(user)
	if err != nil {
		return err
	}
	return out.Record(account)
}

// yieldChanged yields the account of a user as it is now, after a change that ended that many of
// its logins.
func yieldChanged(s Services, user string, ended int, out *menu.Out[changedAccount]) error {
	account, err := s.Account(user)
	if err != nil {
		return err
	}
	return out.Record(changedAccount{account, ended})
}
