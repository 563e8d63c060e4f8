package api

import (
	"context"
	"io"
	"os"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An Appliance is what the boundary needs of the running appliance. Package daemon is the one
// implementation. The methods may be called from any goroutine.
type Appliance interface {
	Sessions
	Files

	// Listen begins to listen to what changes. after is the identifier of the last update that the
	// listener had, or empty. Which of them it is for, this package decides.
	Listen(after string) access.Listener

	// Record writes one line of the audit log. It sets the time if the event has none.
	Record(access.Event)

	// Greeting returns what the user of a session is told when a shell begins.
	Greeting(caller menu.Caller) access.Greeting

	// Hostname returns the present hostname, for a prompt.
	Hostname() string

	// Leaving returns what the caller should know before leaving the menus, such as that changes
	// are not committed. It has full sentences, or is empty.
	Leaving(caller menu.Caller) string

	// Remember adds a line to the user's history. The line holds no secret.
	Remember(user, line string)
}

// Sessions are the sessions that are open. Each belongs to a connection.
type Sessions interface {
	// Local begins a session of the peer of the appliance's own socket, by the user id that the
	// kernel reports. ended is closed when the session must end: the account was deleted, or the
	// appliance stops. detach ends the session; it may be called more than once.
	Local(uid uint32) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Console is Local for the shell on the terminal that the appliance was started on. Its user is
	// root, whatever user the appliance runs as. It does not end by being idle.
	Console() (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Detached begins a session of the same account and with the same rights as another one, which
	// does not end with that one. It ends with what the login came by, such as a token.
	Detached(session string) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)

	// Current returns the caller of a session as of now, so a changed role counts at once. For a
	// session that has ended the error is a *menu.Error of code Denied.
	Current(session string) (menu.Caller, error)

	// Running notes that a session runs the command at path, until done is called. The session is
	// not idle meanwhile, except with background: then a page runs the command by itself.
	Running(session, path string, background bool) (done func())

	// Ending returns when a session ends unless something happens.
	Ending(session string) access.SessionEnd

	// Alive notes that the session sent a request of its user, so it is not idle.
	Alive(session string)
}

// Files is the diagnostic directory: finished captures and reports, without folders. Errors are
// *menu.Error. This package decides who may do what; File.Payload says which files hold packet
// contents.
type Files interface {
	// OpenListing begins to list the finished files.
	OpenListing() (access.FileListing, error)

	// StatFile returns one finished file.
	StatFile(name string) (access.File, error)

	// OpenFile opens a finished file for reading.
	OpenFile(name string) (*os.File, error)

	// Contents returns what is known of the contents of a file.
	Contents(name string) access.Contents

	// Converts reports whether a file of packets is written anew in a form: it has another format, or
	// something is said of its packets, which pcapng has as comments.
	Converts(name string, as access.Form) (access.Conversion, error)

	// Convert writes the packets of a file in a form. An error that is a *menu.Error comes before
	// anything was written.
	Convert(ctx context.Context, name string, as access.Form, out io.Writer) error

	// RemoveFile deletes a file for the caller.
	RemoveFile(caller menu.Caller, name string) error

	// Packets returns the file that a command reads for a name: of a file, or of a capture that
	// runs or has ended. known is false if there is neither.
	Packets(name string) (f access.File, known bool)
}
