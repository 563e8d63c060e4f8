package commands

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// accountService keeps the accounts. It refuses what would leave the appliance without an administrator who can log in.
type accountService interface {
	Accounts() []access.Account
	Account(user string) (access.Account, error)
	CheckNewUser(user string) error
	CreateAccount(a access.Account, password menu.Secret) error
	UpdateAccount(a access.Account, by string) (ended int, err error)
	DeleteAccount(user string) (ended int, err error)
	SetPassword(user string, password menu.Secret, by string) (ended int, err error)
	AddKey(user, authorizedKey string) (access.Key, error)
	RemoveKey(user, fingerprint, by string) (ended int, err error)
	UnlockAccount(user string) error
}

// userconfig is the menu of accounts.
func userconfig(s accountService) *menu.Menu {
	return &menu.Menu{
		Name: "userconfig",
		Help: "Manage who may log in, and as what.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			accountTable(w, s.Accounts())
			return nil
		},
		Items: []menu.Item{
			userNew(s),
			userEdit(s),
			userDelete(s),
			userPassword(s),
			userKey(s),
			userRole(s),
			userUnlock(s),
			userList(s),
		},
	}
}

func accountTable(w io.Writer, list []access.Account) {
	t := tables.Table{Head: []string{"USER", "FULL NAME", "ROLE", "LOGS IN BY", "LAST LOGIN (UTC)", "NOTES"}, Spare: []string{"FULL NAME", "LOGS IN BY"}}
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
			last = fmt.Sprintf("%s from %s", tables.Whole(a.LastLogin.UTC().Format(minute)), a.LastFrom)
		}
		t.Add(a.User, orDash(a.FullName), string(a.Role), orDash(strings.Join(by, ", ")), last, orDash(strings.Join(notes, ", ")))
	}
	t.Write(w)
}

func accountText(w io.Writer, a access.Account) {
	accountTable(w, []access.Account{a})
	for _, k := range a.Keys {
		fmt.Fprintf(w, "Key: %s %s %s\n", k.Type, k.Fingerprint, k.Comment)
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// chooseUser offers the accounts by name.
func chooseUser(s accountService, q *menu.Question) {
	for _, a := range s.Accounts() {
		q.Choices = append(q.Choices, menu.Choice{Value: a.User, Label: fmt.Sprintf("%s (%s)", a.User, a.Role)})
	}
	q.Open = true // a user that is not there is NotFound
}

// askRole explains the roles.
func askRole(q *menu.Question) {
	q.Choices = []menu.Choice{
		{Value: string(menu.Administrator), Label: "administrator - everything", Help: "Everything."},
		{Value: string(menu.Operator), Label: "operator - diagnostics, captures and their files", Help: "Diagnostics, captures and their files."},
		{Value: string(menu.ReadOnly), Label: "readonly - tables and status only", Help: "Tables and status only."},
		{Value: string(menu.Support), Label: "support - as operator, expires, packet headers only", Help: "As operator; expires; packet headers only."},
	}
}

// supportDays is how long a support account lives if nothing else is said.
const supportDays = 7

type userNewArgs struct {
	User     string         `arg:"user,main,required" ask:"User name" help:"Name of the account, of lower-case letters, digits, dots, hyphens and underscores."`
	FullName string         `arg:"fullname" ask:"Full name" help:"Who it is."`
	Role     string         `arg:"role" ask:"Role" default:"operator" choices:"administrator|operator|readonly|support" help:"What the user may do."`
	Expires  *time.Duration `arg:"expires,unlimited" ask:"Expires after, such as 7d or 12h" min:"60" help:"The account ends after this time; unlimited for never."`
	Payload  bool           `arg:"payload" ask:"May this support account see packet contents?" default:"no" help:"A support account may capture and read packet contents."`
	Password menu.Secret    `arg:"password" ask:"Password (Enter for none: public keys only)" help:"At least 8 characters; none for public keys only."`
	Key      string         `arg:"key" help:"A public key as in authorized_keys; in a line of commands, in quotes."`
}

func userNew(s accountService) *menu.Command {
	return menu.Spec[userNewArgs, access.Account]{
		Name:  "new",
		Help:  "Add a user.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a userNewArgs, q *menu.Question) error {
			support := a.Role == string(menu.Support)
			switch q.Name {
			case "role":
				askRole(q)
			case "expires":
				q.Skip, q.Default = !support, fmt.Sprintf("%dd", supportDays)
			case "payload":
				q.Skip = !support
			case "password":
				q.Twice = true
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a userNewArgs, name string) error {
			if name == "user" {
				return s.CheckNewUser(a.User)
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a userNewArgs, out *menu.Out[access.Account]) error {
			account := access.Account{User: a.User, FullName: a.FullName, Role: menu.Role(a.Role), Payload: a.Payload, Expires: until(a.Expires)}
			if account.Role == menu.Support && a.Expires == nil {
				account.Expires = until(new(supportDays * 24 * time.Hour))
			}
			if err := s.CreateAccount(account, a.Password); err != nil {
				return err
			}
			if a.Key != "" {
				if _, err := s.AddKey(a.User, a.Key); err != nil {
					// An account that cannot be made as asked is not made at all.
					s.DeleteAccount(a.User)
					return err
				}
			}
			out.Printf("User %s added.\n", a.User)
			if a.Password == "" && a.Key == "" {
				out.Printf("It cannot log in before it has a password or a key (userconfig password, userconfig key).\n")
			}
			return yieldAccount(s, a.User, out)
		},
		Text: accountText,
	}.Command()
}

// until is the time at which a span from now ends, nil for none or unlimited.
func until(d *time.Duration) *time.Time {
	if d == nil || *d == menu.Unlimited {
		return nil
	}
	t := time.Now().Add(*d).Truncate(time.Second)
	return &t
}

type userEditArgs struct {
	User     string         `arg:"user,main,required" ask:"User to edit" help:"Name of the account."`
	FullName *string        `arg:"fullname" ask:"Full name" help:"Who it is."`
	Expires  *time.Duration `arg:"expires,unlimited" ask:"Expires after, such as 7d or 12h, or unlimited" min:"60" help:"The account ends after this time from now; unlimited for never."`
	Payload  *bool          `arg:"payload" ask:"May this support account see packet contents?" help:"A support account may capture and read packet contents."`
}

func userEdit(s accountService) *menu.Command {
	return menu.Spec[userEditArgs, changedAccount]{
		Name:  "edit",
		Help:  "Change a user's name, end and rights to packet contents.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a userEditArgs, q *menu.Question) error {
			if q.Name == "user" {
				chooseUser(s, q)
				return nil
			}
			account, err := s.Account(a.User)
			if err != nil {
				return blame("user", err)
			}
			switch q.Name {
			case "fullname":
				q.Default = account.FullName
			case "payload":
				q.Skip, q.Default = account.Role != menu.Support, "N"
				if account.Payload {
					q.Default = "Y"
				}
			case "expires":
				q.Default = "" // Enter keeps the present end
				if account.Expires != nil {
					q.Text += fmt.Sprintf(" (now %s; Enter keeps it)", account.Expires.UTC().Format("2006-01-02 15:04 UTC"))
				} else {
					q.Text += " (now unlimited; Enter keeps it)"
				}
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a userEditArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			if a.FullName == nil && a.Expires == nil && a.Payload == nil {
				return menu.Errorf(menu.Usage, "Nothing is given that could change").WithHint("Give fullname, expires or payload")
			}
			if a.FullName != nil {
				account.FullName = *a.FullName
			}
			if a.Expires != nil {
				account.Expires = until(a.Expires)
			}
			if a.Payload != nil {
				account.Payload = *a.Payload
			}
			return update(s, caller, account, out)
		},
		Text: changedText,
	}.Command()
}

// A changedAccount is an account after a change, and how many of its logins the change ended.
type changedAccount struct {
	access.Account
	Ended int `json:"loginsEnded"`
}

func changedText(w io.Writer, c changedAccount) {
	accountText(w, c.Account)
	endedText(w, c)
}

// endedText says how many logins were ended.
func endedText(w io.Writer, c changedAccount) {
	switch {
	case c.Ended == 1:
		fmt.Fprintf(w, "1 login of %s was ended.\n", c.User)
	case c.Ended > 1:
		fmt.Fprintf(w, "%d logins of %s were ended.\n", c.Ended, c.User)
	}
}

func update(s accountService, caller menu.Caller, account access.Account, out *menu.Out[changedAccount]) error {
	ended, err := s.UpdateAccount(account, caller.Session)
	if err != nil {
		return err
	}
	out.Printf("User %s changed.\n", account.User)
	return yieldChanged(s, account.User, ended, out)
}

// yieldAccount yields an account as it is now.
func yieldAccount(s accountService, user string, out *menu.Out[access.Account]) error {
	account, err := s.Account(user)
	if err != nil {
		return err
	}
	return out.Record(account)
}

// yieldChanged yields an account as it is now, after a change that ended so many of its logins.
func yieldChanged(s accountService, user string, ended int, out *menu.Out[changedAccount]) error {
	account, err := s.Account(user)
	if err != nil {
		return err
	}
	return out.Record(changedAccount{account, ended})
}

// blame names the argument at fault in an error that does not.
func blame(argument string, err error) error {
	e := *menu.AsError(err)
	e.Argument = argument
	return &e
}

type userRoleArgs struct {
	User string `arg:"user,main,required" ask:"User" help:"Name of the account."`
	Role string `arg:"role,next,required" ask:"Role" choices:"administrator|operator|readonly|support" help:"What the user may do."`
}

func userRole(s accountService) *menu.Command {
	return menu.Spec[userRoleArgs, changedAccount]{
		Name: "role",
		Help: "Change what a user may do.",
		Details: "It holds at once, in sessions that are open too. Whoever may do less than before is logged out where a command of theirs runs, " +
			"or SFTP. A support account without an end gets one in 7 days.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a userRoleArgs, q *menu.Question) error {
			if q.Name == "user" {
				chooseUser(s, q)
				return nil
			}
			account, err := s.Account(a.User)
			if err != nil {
				return blame("user", err)
			}
			askRole(q)
			q.Default = string(account.Role)
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a userRoleArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			account.Role = menu.Role(a.Role)
			if account.Role == menu.Support && account.Expires == nil {
				account.Expires = until(new(supportDays * 24 * time.Hour))
			}
			return update(s, caller, account, out)
		},
		Text: changedText,
	}.Command()
}

type userDeleteArgs struct {
	User    string       `arg:"user,main,required" ask:"User to delete" help:"Name of the account."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete this user?" help:"Say yes: the account is removed and its sessions end."`
}

func userDelete(s accountService) *menu.Command {
	return menu.Spec[userDeleteArgs, changedAccount]{
		Name:  "delete",
		Help:  "Remove a user; sessions of the user end.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a userDeleteArgs, q *menu.Question) error {
			switch q.Name {
			case "user":
				chooseUser(s, q)
			case "confirm":
				if _, err := s.Account(a.User); err != nil {
					return blame("user", err)
				}
				q.Text = fmt.Sprintf("Delete the user %s?", a.User)
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a userDeleteArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			ended, err := s.DeleteAccount(a.User)
			if err != nil {
				return err
			}
			return out.Record(changedAccount{account, ended})
		},
		Text: func(w io.Writer, c changedAccount) {
			fmt.Fprintf(w, "User %s deleted.\n", c.User)
			endedText(w, c)
		},
	}.Command()
}

type userPasswordArgs struct {
	User     string      `arg:"user,main,required" ask:"User" help:"Name of the account."`
	Password menu.Secret `arg:"password,required" ask:"New password" help:"At least 8 characters."`
}

func userPassword(s accountService) *menu.Command {
	return menu.Spec[userPasswordArgs, changedAccount]{
		Name:    "password",
		Help:    "Give a user a new password; sessions of the user end.",
		Details: "If it is your own account, the login by which you do this goes on.",
		Role:    menu.Administrator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a userPasswordArgs, q *menu.Question) error {
			switch q.Name {
			case "user":
				chooseUser(s, q)
			case "password":
				if _, err := s.Account(a.User); err != nil {
					return blame("user", err)
				}
				q.Twice = true
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a userPasswordArgs, out *menu.Out[changedAccount]) error {
			ended, err := s.SetPassword(a.User, a.Password, caller.Session)
			if err != nil {
				return err
			}
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			return out.Record(changedAccount{account, ended})
		},
		Text: func(w io.Writer, p changedAccount) { passwordChanged(w, p.User, p.Ended) },
	}.Command()
}

type userKeyArgs struct {
	User   string `arg:"user,main,required" ask:"User" help:"Name of the account."`
	Action string `arg:"action,next,required" ask:"Add or remove a key" choices:"new|delete" help:"What to do with the user's public keys."`
	Key    string `arg:"key,next,required" ask:"Public key" help:"A public key as in authorized_keys (in a line of commands, in quotes); to delete, its fingerprint."`
}

func userKey(s accountService) *menu.Command {
	return menu.Spec[userKeyArgs, changedAccount]{
		Name:    "key",
		Help:    "Add or remove a user's public keys.",
		Details: "Who logged in by a key that is removed is logged out; the login by which you do this goes on.",
		Role:    menu.Administrator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a userKeyArgs, q *menu.Question) error {
			if q.Name == "user" {
				chooseUser(s, q)
				return nil
			}
			account, err := s.Account(a.User)
			if err != nil {
				return blame("user", err)
			}
			switch {
			case q.Name == "action":
				q.Default = "new"
			case a.Action == "delete":
				if len(account.Keys) == 0 {
					return menu.Wrong("action", "%s has no public key", a.User).WithHint("Add one with new")
				}
				q.Text = "Key to remove"
				for _, k := range account.Keys {
					q.Choices = append(q.Choices, menu.Choice{Value: k.Fingerprint, Label: k.Type + " " + k.Fingerprint + " " + k.Comment})
				}
			default:
				q.Text = "Public key (a line as in authorized_keys)"
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a userKeyArgs, out *menu.Out[changedAccount]) error {
			var ended int
			var err error
			if a.Action == "delete" {
				ended, err = s.RemoveKey(a.User, a.Key, caller.Session)
			} else {
				_, err = s.AddKey(a.User, a.Key)
			}
			if err != nil {
				return err
			}
			out.Printf("The keys of %s are changed.\n", a.User)
			return yieldChanged(s, a.User, ended, out)
		},
		Text: changedText,
	}.Command()
}

type userUnlockArgs struct {
	User string `arg:"user,main,required" ask:"User" help:"Name of the account."`
}

func userUnlock(s accountService) *menu.Command {
	return menu.Spec[userUnlockArgs, access.Account]{
		Name:  "unlock",
		Help:  "Let a user log in again who was locked after failed logins.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Hidden: func(context.Context) bool {
			return !slices.ContainsFunc(s.Accounts(), func(a access.Account) bool { return a.Locked != nil })
		},
		Ask: func(_ context.Context, _ menu.Caller, _ userUnlockArgs, q *menu.Question) error {
			chooseUser(s, q)
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a userUnlockArgs, out *menu.Out[access.Account]) error {
			if err := s.UnlockAccount(a.User); err != nil {
				return err
			}
			return yieldAccount(s, a.User, out)
		},
		Text: func(w io.Writer, a access.Account) { fmt.Fprintf(w, "User %s is not locked.\n", a.User) },
	}.Command()
}

func userList(s accountService) *menu.Command {
	return menu.Spec[noArgs, access.Account]{
		Name: "list",
		Help: "List the users with their last login.",
		Role: menu.Administrator,
		Run: func(_ context.Context, _ menu.Caller, _ noArgs, out *menu.Out[access.Account]) error {
			return out.Records(s.Accounts())
		},
		TextTable: accountTable,
	}.Command()
}
