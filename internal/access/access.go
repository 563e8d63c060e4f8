// Package access has the types for people on the appliance: accounts, logins, sessions, and what
// was done. It decides nothing: package daemon keeps these, package api enforces them, and commands
// show them.
package access

import (
	"strings"
	"time"

	"diagsh/internal/menu"
)

// An Account is a user of the appliance.
type Account struct {
	User      string     `json:"user"`
	FullName  string     `json:"fullName"`
	Role      menu.Role  `json:"role"`
	Payload   bool       `json:"payload"`              // a Support account may capture payload
	Expires   *time.Time `json:"expiryTime,omitempty"` // no login from then on
	Password  bool       `json:"password"`             // one is set
	Keys      []Key      `json:"keys"`
	LastLogin *time.Time `json:"lastLoginTime,omitempty"`
	LastFrom  string     `json:"lastFrom,omitempty"`
	Locked    *time.Time `json:"lockedUntilTime,omitempty"` // no password login before, after too many failed ones
}

// maxUserName is as long as Linux allows a user name to be (useradd(8)).
const maxUserName = 32

// PlainUserName reports whether a name has the form of an account's: at most 32 lower-case letters,
// digits, dots, hyphens and underscores, the first one a letter and the last one no dot.
func PlainUserName(user string) bool {
	if user == "" || len(user) > maxUserName || user[0] < 'a' || user[0] > 'z' || strings.HasSuffix(user, ".") {
		return false
	}
	return strings.Trim(user, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// A Key is a public key that may log in, in the form of authorized_keys(5) without options.
type Key struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"` // SHA256:..., as ssh-keygen -l prints it
	Comment     string `json:"comment"`
	Text        string `json:"key"`
}

// Methods of authentication.
const (
	Password  = "password"
	PublicKey = "publickey"
	Socket    = "socket" // the kernel's word (SO_PEERCRED)
	ByToken   = "token"
	ByPass    = "pass" // what a client of Azure got for a password or a token
)

// Credentials are what a client offers to log in: Password, or Key with a signature by it, or Token
// or Callback, which say by themselves whose they are. With Token, User is empty, or the name or the
// identifier that the token must have; a Token may also be a Pass.
type Credentials struct {
	User     string      `json:"user"`
	Source   string      `json:"source"` // the client's address without port
	Password menu.Secret `json:"password,omitempty"`

	Token    menu.Secret `json:"token,omitempty"`
	Callback *Callback   `json:"callback,omitempty"`

	Key       []byte `json:"key,omitempty"`       // SSH wire format
	Algorithm string `json:"algorithm,omitempty"` // of the request that was signed (RFC 4252 section 7)
	Signature []byte `json:"signature,omitempty"` // SSH wire format

	// SessionID is that of the SSH session that Signature is for. It is in no message: the signer
	// has it.
	SessionID []byte `json:"-"`
}

// A Login is one successful login: an SSH connection, or one connection to the appliance's own
// socket. Sessions attach to it.
type Login struct {
	ID     string      `json:"id"`
	Caller menu.Caller `json:"caller"`
	Method string      `json:"method"`
	Began  time.Time   `json:"began"`
	// a session ends after that time without a key pressed; 0: never
	Idle int `json:"idleSeconds"`
	// a session of the page ends after that time, whatever is done in it
	LongestWeb int  `json:"longestWebSeconds"`
	MayFiles   bool `json:"mayFiles"` // the role may read files, so that SFTP is worth offering
}

// A Session is a current session, as `who` lists them.
type Session struct {
	ID       string    `json:"session"`
	User     string    `json:"user"`
	Role     menu.Role `json:"role"`
	Source   string    `json:"source"`
	Type     string    `json:"type"`            // shell, exec, sftp, web, api, azure, run
	Token    string    `json:"token,omitempty"` // the API token that it came by
	Began    time.Time `json:"startTime"`
	IdleFrom time.Time `json:"idleSinceTime"`
	Running  []string  `json:"running"` // paths of the running commands
}

// A PastLogin is a login, current or past, as `last` lists it.
type PastLogin struct {
	User   string     `json:"user"`
	Source string     `json:"source"`
	Method string     `json:"method"`
	Began  time.Time  `json:"startTime"`
	Ended  *time.Time `json:"endTime,omitempty"` // nil: still logged in
	Reason string     `json:"reason,omitempty"`
}

// A Knock is a connection that ended without a login, after attempts that no line of the audit log
// reports.
type Knock struct {
	User   string `json:"user"` // the user name of the last attempt
	Source string `json:"source"`
	Keys   int    `json:"keys"`  // public keys that were offered and do not open the account
	Other  int    `json:"other"` // further attempts that were not checked
}

// Values of an event's user and source that name no user and no address.
const (
	System = "system" // the user of what the appliance does by itself
	Local  = "local"  // the source of what comes by the appliance's own socket, and of System
)

// Acts that an Event records.
const (
	ActCommand  = "command"
	ActLogin    = "login"
	ActLogout   = "logout"
	ActRefused  = "refused" // a failed login, or a command that the role may not run
	ActDownload = "download"
	ActDelete   = "delete"
	ActSystem   = "system" // the appliance itself: started, stopped, captures that it ended
)

// An Event is one line of the audit log.
type Event struct {
	Time      time.Time         `json:"time"`
	Act       string            `json:"act"`
	User      string            `json:"user"`
	Role      menu.Role         `json:"role,omitempty"`
	Source    string            `json:"source"`
	Session   string            `json:"session,omitempty"`
	Token     string            `json:"token,omitempty"`  // the API token that the user came by
	Client    string            `json:"client,omitempty"` // what the program says of itself; see ClientHeader
	Path      string            `json:"path,omitempty"`   // of the command, or the file's name
	Arguments map[string]string `json:"arguments,omitempty"`
	Result    string            `json:"result"` // ok, or the kind of the failure
	Exit      int               `json:"exit"`
	Message   string            `json:"message,omitempty"`
	Seconds   float64           `json:"seconds,omitempty"`
}

// A Greeting is what a user is shown at login.
type Greeting struct {
	Host    string `json:"hostname"` // in the prompt
	Product string `json:"product"`  // name and version
	Welcome string `json:"welcome"`  // configured text
	// SHA-256 of the certificate of HTTPS, so that people can compare; empty where HTTPS is off
	Certificate string      `json:"certificate,omitempty"`
	Caller      menu.Caller `json:"caller"`
	LastLogin   *time.Time  `json:"lastLoginTime,omitempty"`
	LastFrom    string      `json:"lastFrom,omitempty"`
	Idle        int         `json:"idleSeconds"`
	// it is the terminal that the appliance was started on: leaving ends the appliance
	Console bool `json:"console,omitempty"`
	// something that this user must know, such as an initial password to change
	Notice  string   `json:"notice,omitempty"`
	History []string `json:"history"`
}

// A SavedFilter is a capture filter that a user keeps by a name.
type SavedFilter struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// A Note is what a user noted at a packet of a capture file. Without a text it is a mark.
type Note struct {
	File   string    `json:"file"`
	InFile int64     `json:"inFile"` // number of the packet in the file, from 1
	Text   string    `json:"text,omitempty"`
	Author string    `json:"author"`
	Time   time.Time `json:"time"`
}

// A File is a finished file of the diagnostic directory.
type File struct {
	Name     string    `json:"name"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modifiedTime"`
	// contains more than packet headers: a Support account without that permission cannot read it
	Payload bool      `json:"payload"`
	Role    menu.Role `json:"role,omitempty"` // that reading it takes, if that is more than for other files
}

// A FileListing goes through the finished files. It takes no more memory for many files than for
// some.
type FileListing interface {
	// Next returns the next files, from one to most of them, or io.EOF after the last.
	Next(most int) ([]File, error)

	Close() error
}

// An EventFilter selects lines of the audit log. Empty members select everything.
type EventFilter struct {
	User   string
	From   time.Time
	To     time.Time
	Path   string // a command path or the beginning of one ("packetcapture"), or a file name
	Act    string
	Token  string // of this API token
	Newest int    // at most that many, the newest; 0: all
}
