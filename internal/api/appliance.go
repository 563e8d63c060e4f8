package api

import (
	"os"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An Appliance is what the boundary needs from the running appliance. Package daemon is the one implementation; its methods may
// be called from any goroutine.
type Appliance interface {
	Sessions
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

// Sessions are who is in. Each of them belongs to a connection.
type Sessions interface {
	// Local begins a session of the peer of the appliance's own socket, by the user id that the kernel
	// reports. ended is closed when the session must end: the account was deleted, or the appliance
	// stops. detach ends the session; it may be called more than once.
	Local(uid uint32) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Console is Local for the shell on the terminal that the appliance was started on. That one is
	// root's, whatever user the appliance has. It does not end by being idle.
	Console() (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Current returns the caller of a session as of now, so that a role that was changed counts at once.
	// For a session that has ended the error is a *menu.Error of kind Denied.
	Current(session string) (menu.Caller, error)

	// Running notes that a session runs the command at path, until done is called.
	Running(session, path string) (done func())

	// Alive notes that the session asked for something, so it is not idle.
	Alive(session string)
}

// Files is the diagnostic directory: finished captures and reports, flat names. Errors are *menu.Error. Who may do this is decided
// in this package, except that File.Payload says which files hold packet contents.
type Files interface {
	OpenListing() (access.FileListing, error)
	StatFile(name string) (access.File, error)
	OpenFile(name string) (*os.File, error)
	RemoveFile(caller menu.Caller, name string) error

	// Packets is what a name of a capture or of a file stands for, as a file that would have to be read: with what it holds and
	// who may read it. known is false if there is neither.
	Packets(name string) (f access.File, known bool)
}
