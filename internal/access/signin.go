package access

import (
	"errors"
	"time"

	"diagsh/internal/menu"
)

// Ways of signing in by a server that knows people who have no account here. They are methods of
// authentication, too.
const (
	LDAP   = "ldap"
	RADIUS = "radius"
	OIDC   = "oidc"
)

// A Person is somebody whom a server knows and who has no account here.
type Person struct {
	User     string    `json:"user"`
	FullName string    `json:"fullName"`
	Role     menu.Role `json:"role"`
	Groups   []string  `json:"groups,omitempty"` // that have a role here
	Method   string    `json:"method"`           // LDAP, RADIUS or OIDC
	Server   string    `json:"server"`           // that answered
	ID       string    `json:"id"`               // by which the server knows the person, such as a DN
	// when the server wants the login to end; zero: it does not say
	Until time.Time `json:"untilTime,omitzero"`
}

// A SignInError says why a server did not let somebody in.
type SignInError struct {
	Reason     string // for the audit log, without a full stop
	Unanswered bool   // no server said anything about the password
	NoRole     bool   // the password is right, and none of the groups has a role
}

func (e *SignInError) Error() string { return e.Reason }

// ErrNoRecheck says that a server cannot be asked again about a person who is logged in.
var ErrNoRecheck = errors.New("this server tells roles at the login alone")

// A Callback is what a browser brings back from a provider of OpenID Connect.
type Callback struct {
	State   string `json:"state"`
	Code    string `json:"code"`
	Fault   string `json:"fault,omitempty"` // what the provider says instead of a code
	Binding string `json:"binding"`         // of the browser that began, from its cookie
}

// A Redirect begins a sign-in by a provider: where to send the browser, and what it must bring back
// beside what the provider gives it.
type Redirect struct {
	URL     string `json:"url"`
	Binding string `json:"binding"`
}

// A SignInWay is another way to sign in than by a password, as the page offers it.
type SignInWay struct {
	Kind    string `json:"kind"`    // OIDC
	Name    string `json:"name"`    // of the button
	Address string `json:"address"` // of this appliance
}

// A SignInMethod is a way to sign in by a server, as it is configured. It has no secret.
type SignInMethod struct {
	Method  string      `json:"method"`
	Servers []string    `json:"servers"`
	State   string      `json:"state"` // on, or why it is not
	Detail  string      `json:"detail"`
	Roles   []GroupRole `json:"roles"`
}

// A GroupRole is a group of a server and the role that its members have here.
type GroupRole struct {
	Group string    `json:"group"`
	Role  menu.Role `json:"role"`
}

// A SignInTest is what a server said of a person, step by step, and what would come of it. Nobody is
// logged in.
type SignInTest struct {
	Method string      `json:"method"`
	User   string      `json:"user,omitempty"`
	Steps  []string    `json:"steps"`
	Groups []GroupRole `json:"groups"` // those of the person that have a role here
	Role   menu.Role   `json:"role,omitempty"`
	Result string      `json:"result"` // ok, or why the person would not come in
}
