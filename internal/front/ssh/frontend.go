package ssh

import (
	"context"
	"os"

	"diagsh/internal/access"
)

// A FrontEnd is the appliance as the listener needs it. Errors that concern the user are
// *menu.Error.
type FrontEnd interface {
	// Banner is the text before a login.
	Banner(ctx context.Context) (string, error)

	// KeyKnown reports whether a public key (SSH wire format) could log the user in. It proves
	// nothing.
	KeyKnown(ctx context.Context, user, source string, key []byte) (bool, error)

	// Visitors are the addresses that somebody has logged in from lately.
	Visitors(ctx context.Context) ([]string, error)

	// HostKeys returns the public halves of the keys by which clients recognise the appliance, in
	// SSH wire format.
	HostKeys(ctx context.Context) ([][]byte, error)

	// Client begins what one client's connection needs. It is over when ctx is done. Whoever began
	// it closes it.
	Client(ctx context.Context) (Client, error)

	// Knocked reports a connection that ended without a login, for the audit log.
	Knocked(ctx context.Context, k access.Knock) error

	// Spawn runs a program for a login, in a session process that the appliance starts.
	Spawn(ctx context.Context, login string, program access.Program) (Running, error)

	// Files begins a session of kind "sftp".
	Files(ctx context.Context, login string) (Files, error)
}

// A Running is a session process that the appliance has started.
type Running interface {
	// Files returns the other ends of its descriptors: the master of its terminal, or its input,
	// output and errors.
	Files() []*os.File

	// Signal sends it a signal by its name without SIG.
	Signal(name string) error

	// HangUp ends it, by force if need be.
	HangUp() error

	// Wait waits for its end. Called once.
	Wait() (access.Ended, error)

	// Close closes the files, and hangs it up if it runs.
	Close() error
}

// A Client is what the connection of one client needs of the appliance. Its methods may be called
// from any goroutine.
type Client interface {
	// Cookie returns the one that the first SSH_MSG_KEXINIT has to have: by it the appliance knows
	// that a session is a new one.
	Cookie() [16]byte

	// Sign has the hash of a key exchange signed with the host key that is in it, by an algorithm
	// of that key. hash is SHA-256, SHA-384 or SHA-512, and exchange what the hash is of. Sign
	// returns the signature in SSH wire format. The first hash is the identifier of the session.
	Sign(algorithm, hash string, exchange []byte) ([]byte, error)

	// Login checks credentials and takes as long as the delay for earlier failures demands. A
	// refusal is of kind Denied where they are not right, of another where it is not about them. A
	// signature must be for the session that the appliance knows by Sign.
	Login(c access.Credentials) (access.Login, error)

	// Close ends the login, and returns when it has ended.
	Close() error
}

// Files is the diagnostic directory as one login may use it. Its methods may be called from any
// goroutine; the role is looked at behind them, at every call. Errors are *menu.Error of the kinds
// Denied, NotFound, State.
type Files interface {
	// List begins to list the finished files.
	List() (Listing, error)

	Stat(name string) (access.File, error)

	// Open opens a file for reading. Whoever opened it gives it back with Done.
	Open(name string) (*os.File, error)

	// Done closes a file and reports how many of its bytes were read, for the audit log.
	Done(name string, f *os.File, bytes int64) error

	Remove(name string) error
	Close() error
}

// A Listing goes through the finished files, some at a time.
type Listing interface {
	// Next returns the next files, or io.EOF behind the last.
	Next() ([]access.File, error)

	// Close ends the listing, at its end or before.
	Close() error
}
