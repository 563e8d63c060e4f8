package menu

// A Role is what somebody may do. The zero value as a command's requirement means Administrator, so a declaration that
// forgets its role is closed, not open.
type Role string

const (
	// Administrator may do everything.
	Administrator Role = "administrator"
	// Operator runs all diagnostics and captures and handles their files; no users, no commit, no reload.
	Operator Role = "operator"
	// ReadOnly sees tables and status; it starts nothing and reads no capture file.
	ReadOnly Role = "readonly"
	// Support is an Operator whose account expires and whose captures hold headers only, unless an administrator allows payload.
	Support Role = "support"
)

// Roles lists all roles, the most powerful first, as they are shown to choose from.
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

// Includes reports whether somebody with role r has what a declaration with the given requirement asks for.
// Called by package api alone: nothing else decides who may do what.
func (r Role) Includes(required Role) bool {
	need := required.rank()
	if need == 0 {
		need = Administrator.rank()
	}
	return r.rank() >= need
}

// A Caller is whoever runs a command: who, with which role, from where, in which session.
type Caller struct {
	User    string `json:"user"`
	Role    Role   `json:"role"`
	Source  string `json:"source"`  // address of the client, or "local" for the appliance's own socket
	Session string `json:"session"` // identifies the login in who, last and the audit log
	Columns int    `json:"-"`       // of the caller's terminal during a run; 0: there is none, or nobody knows
	ASCII   bool   `json:"-"`       // the caller's terminal shows no other characters
	Word    string `json:"-"`       // that the command was called by during a run: its name or an alias
	Payload bool   `json:"payload"` // captures may hold packet contents; false only for Support without that permission
}
