package api

import (
	"context"
	"os"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An Appliance is what the boundary needs from the running appliance. Package daemon is the one implementation; its methods may
// be called from any goroutine.
type Appliance interface {
	Logins
	Files

	// Record writes one line of the audit log. The appliance sets the time if the event has none.
	Record(access.Event)

	// Greeting is what the owner of a session is told when a shell begins.
	Greeting(caller menu.Caller) access.Greeting

	// Hostname is the appliance's present name, which prompts show.
	Hostname() string

	// Leaving is what somebody should know who is about to leave the menus, in full sentences, such as that changes are not
	// committed. Empty: nothing.
	Leaving(caller menu.Caller) string

	// Remember keeps a line in the user's history. The caller has made sure that it holds no secret.
	Remember(user, line string)
}

// Logins is who may come in, and who is in.
type Logins interface {
	// Banner is the text before a login.
	Banner() string

	// Visitors are the sources that somebody has logged in from lately, at most some hundreds.
	Visitors() []string

	// Knocked records a connection that ended without a login.
	Knocked(access.Knock)

	// KeyKnown reports whether a public key (SSH wire format) could log the user in. It proves nothing, counts as no failure and
	// takes the same time for users that do not exist.
	KeyKnown(ctx context.Context, user, source string, key []byte) bool

	// Login checks credentials. It takes as long as the delay for earlier failures demands. A refusal is a *menu.Error. It is of kind
	// Denied where they are not right, with a text that does not tell whether the user exists. It is of kind State where it is not
	// about them, with a text for whoever asks: too many logins, or a check that has to wait, which tells nothing about the account.
	Login(ctx context.Context, c access.Credentials) (access.Login, error)

	// Logout ends a login; its sessions end with it.
	Logout(login string)

	// Attach begins a session of a login: kind is shell, exec, sftp or api. ended is closed when the session must end
	// (the account was deleted, the appliance stops). Detach ends the session; it may be called more than once.
	Attach(login, kind string) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Local is Login and Attach for the peer of the appliance's own socket, by the user id that the kernel reports.
	Local(uid uint32) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Console is Local for the shell on the terminal that the appliance was started on. It is root's, whoever the appliance runs as,
	// and does not end because nobody types: the appliance ends with it.
	Console() (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Current is the caller of a session as of now: a role that was changed takes effect at once. A session that has ended
	// is a *menu.Error of kind Denied.
	Current(session string) (menu.Caller, error)

	// Running notes that a session runs the command at path, for `who`, until done is called.
	Running(session, path string) (done func())

	// Alive notes that the session asked for something, so it is not idle.
	Alive(session string)
}

// Files is the diagnostic directory: finished captures and reports, flat names. Errors are *menu.Error. Who may do this is decided
// in this package, except that File.Payload says which files hold packet contents.
type Files interface {
	OpenListing() (FileListing, error)
	StatFile(name string) (access.File, error)
	OpenFile(name string) (*os.File, error)
	RemoveFile(caller menu.Caller, name string) error

	// Packets is what a name of a capture or of a file stands for, as a file that would have to be read: with what it holds and
	// who may read it. known is false if there is neither.
	Packets(name string) (f access.File, known bool)
}

// A FileListing goes through the finished files.
type FileListing = access.FileListing
