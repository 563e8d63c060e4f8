package access

import (
	"time"

	"diagsh/internal/menu"
)

// ClientHeader is the header of a request in which what passes it on says which program it is from, such
// as that of a client of Azure and its command. Nobody has checked that: it is for readers of the audit
// log.
const ClientHeader = "Diagsh-Client"

// BackgroundHeader is the header of a request by which a page says "true": no act of its user is
// behind the request. So it does not keep the session from ending for idleness.
const BackgroundHeader = "Diagsh-Background"

// A PasswordLogin is the body of a sign-in over HTTPS.
type PasswordLogin struct {
	User     string      `json:"user"`
	Password menu.Secret `json:"password"`
}

// A WebLogin is what a browser is told of its session.
type WebLogin struct {
	User    string    `json:"user"`
	Role    menu.Role `json:"role"`
	Payload bool      `json:"payload"` // more of packets than headers
	Source  string    `json:"source"`
	Session string    `json:"session"`
	Method  string    `json:"method"`
	Began   time.Time `json:"startTime"`
	// The session ends then, and without an act of the user for Idle seconds before; 0 is never.
	Ends time.Time `json:"endsTime"`
	Idle int       `json:"idleSeconds"`
	// Notice is something that the user must know, such as an initial password to change.
	Notice string `json:"notice,omitempty"`
}

// A WelcomeMethod is a way to sign in by a form of the page.
type WelcomeMethod struct {
	Kind string `json:"kind"` // password
}

// A Welcome is what a browser is told before the login.
type Welcome struct {
	Banner  string          `json:"banner"`
	Session bool            `json:"session"` // the request came with the cookie of a session
	Methods []WelcomeMethod `json:"methods"`
	Others  []SignInWay     `json:"others"`
}
