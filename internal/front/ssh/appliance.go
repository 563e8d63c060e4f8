package ssh

import (
	"context"
	"os"

	"diagsh/internal/access"
)

// An Appliance is what the listener needs of the appliance. Its methods may be called from any
// goroutine. Errors that concern the user are *menu.Error.
type Appliance interface {
	// Banner returns the text before a login.
	Banner(ctx context.Context) (string, error)

	// KeyKnown reports whether a public key (SSH wire format) could log the user in. It proves
	// nothing.
	KeyKnown(ctx context.Context, user, source string, key []byte) (bool, error)

	// Visitors returns the addresses of recent logins.
	Visitors(ctx context.Context) ([]string, error)

	// HostKeys returns the public halves of the keys by which clients recognise the appliance, in
	// SSH wire format.
	HostKeys(ctx context.Context) ([][]byte, error)

	// Client begins what the connection of one client needs, until ctx is done. The caller closes
	// it.
	Client(ctx context.Context) (Client, error)

	// Knocked reports a connection that ended without a login, for the audit log.
	Knocked(ctx context.Context, k access.Knock) error

	// Spawn runs a program for a login, in a session process that the appliance starts.
	Spawn(ctx context.Context, login string, program access.Program) (Running, error)

	// Files begins a session of a login on the diagnostic directory. The caller closes it.
	Files(ctx context.Context, login string) (Files, error)
}

// A Running is a session process that the appliance has started.
type Running interface {
	// Files returns the other ends of the process's descriptors: the master of its terminal, or its
	// input, output and errors.
	Files() []*os.File

	// Signal sends the process a signal by its name without SIG.
	Signal(name string) error

	// HangUp ends the process, by force if need be.
	HangUp() error

	// Wait waits for the end of the process. It is called once.
	Wait() (access.Ended, error)

	// Close closes the files, and hangs it up if it runs.
	Close() error
}

// A Client is what the connection of one client needs of the appliance. Its methods may be called
// from any goroutine.
type Client interface {
	// Cookie returns the cookie that the first SSH_MSG_KEXINIT must have. By it the appliance knows
	// that the session is new.
	Cookie() [16]byte

	// Sign has the appliance sign the hash of a key exchange by algorithm, with the host key that
	// is in the exchange. hash names the function: SHA-256, SHA-384 or SHA-512. exchange is the
	// text that is hashed. Sign returns the signature in SSH wire format. The first hash identifies
	// the session.
	Sign(algorithm, hash string, exchange []byte) ([]byte, error)

	// Login checks credentials, which takes as long as the delay for earlier failures demands. A
	// refusal is of code Denied for wrong credentials, else of another code. A signature must be
	// for the session that the appliance knows from Sign.
	Login(c access.Credentials) (access.Login, error)

	// Close ends the login, and returns when it has ended.
	Close() error
}

// Files is the diagnostic directory as one login may use it. Its methods may be called from any
// goroutine. The appliance looks up the role at every call. Errors are *menu.Error of the codes
// Denied, NotFound and State.
type Files interface {
	// List begins to list the finished files.
	List() (Listing, error)

	// Stat returns one finished file.
	Stat(name string) (access.File, error)

	// Open opens a file for reading. The caller gives it back by Done.
	Open(name string) (*os.File, error)

	// Done closes a file and reports how many of its bytes were read, for the audit log.
	Done(name string, f *os.File, bytes int64) error

	// Remove deletes a file.
	Remove(name string) error

	// Close ends the session.
	Close() error
}

// A Listing goes through the finished files, a page at a time.
type Listing interface {
	// Next returns the next files, or io.EOF after the last.
	Next() ([]access.File, error)

	// Close ends the listing, at its end or before.
	Close() error
}
