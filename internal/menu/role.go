package menu

import (
	"cmp"
	"time"
)

// A Role says what its holder may do. As a command's requirement the zero value means
// Administrator, so a declaration that forgets its role is closed, not open.
type Role string

const (
	// Administrator may do everything.
	Administrator Role = "administrator"
	// Operator runs all diagnostics and captures and handles their files; no users, no commit, no
	// reload.
	Operator Role = "operator"
	// ReadOnly sees tables and status; it starts nothing and reads no capture file.
	ReadOnly Role = "readonly"
	// Support is an Operator whose account expires and whose captures contain headers only, unless
	// an administrator allows payload.
	Support Role = "support"
)

// Roles returns all roles, the most powerful first, as they are shown to choose from.
func Roles() []Role { return []Role{Administrator, Operator, ReadOnly, Support} }

// rank orders roles by what they include; an unknown role includes nothing.
func (r Role) rank() int {
	switch r {
	case Administrator:
		return 3
	case Operator, Support:
		return 2
	case ReadOnly:
		return 1
	}
	return 0
}

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return r.rank() > 0 }

// Includes reports whether role r may do what asks for the role required. Only package api decides
// by it who may do what.
func (r Role) Includes(required Role) bool {
	return r.rank() >= cmp.Or(required.rank(), Administrator.rank())
}

// A Caller is the user who runs a command: name, role, source and session.
type Caller struct {
	User    string    `json:"user"`
	Role    Role      `json:"role"`
	Source  string    `json:"source"`          // address of the client, or "local" for the appliance's own socket
	Session string    `json:"session"`         // identifies the login in who, last and the audit log
	Columns int       `json:"-"`               // of the caller's terminal during a run; 0: none, or unknown
	ASCII   bool      `json:"-"`               // the caller's terminal shows no other characters
	Word    string    `json:"-"`               // by which the command was called: its name or an alias
	Payload bool      `json:"payload"`         // captures may contain it; false only for Support without that permission
	Token   string    `json:"token,omitempty"` // the API token that the caller came by
	Account time.Time `json:"-"`               // when the account was made: one of the same name that was made later is another
	Paths   []string  `json:"paths,omitempty"` // what the token may use (access.Token); empty: everything

	// Condition returns an error if what the caller changes is not what the caller has read; nil: any
	// will do.
	Condition func() error `json:"-"`
}

// CheckCondition returns the error of Condition, if there is one. What changes a resource calls it
// with the lock held under which it makes the change.
func (c Caller) CheckCondition() error {
	if c.Condition == nil {
		return nil
	}
	return c.Condition()
}
