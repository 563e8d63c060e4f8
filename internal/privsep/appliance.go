package privsep

import (
	"context"
	"net"
	"os"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Logins is who may come in. Its methods may be called from any goroutine.
type Logins interface {
	// Banner returns the text before a login.
	Banner() string

	// SignInWays returns the ways to sign in beside a password.
	SignInWays() []access.SignInWay

	// BeginSignIn begins a sign-in by the provider of logins, for a browser at source.
	BeginSignIn(ctx context.Context, source string) (access.Redirect, error)

	// Azure returns who the appliance is to clients of Azure.
	Azure() access.Azure

	// Visitors returns the sources of recent logins, at most some hundreds.
	Visitors() []string

	// Knocked records a connection that ended without a login.
	Knocked(access.Knock)

	// KeyKnown reports whether a public key (SSH wire format) could log the user in. It proves
	// nothing, counts as no failure and takes the same time for users that do not exist.
	KeyKnown(ctx context.Context, user, source string, key []byte) bool

	// Login checks credentials. It takes as long as the delay for earlier failures demands. A
	// refusal is a *menu.Error. Code Denied means wrong credentials; the text does not tell whether
	// the user exists. Code State has another reason: too many logins, or a check that must wait.
	Login(ctx context.Context, c access.Credentials) (access.Login, error)

	// Logout ends a login and its sessions.
	Logout(login string)

	// Grant returns a pass for the owner of a login, which a client uses instead of the password or
	// the token that opened the login.
	Grant(login, client string) (access.Pass, error)

	// Attach begins a session of a login; kind is shell, exec, sftp, web, api or azure. The appliance closes ended
	// when the session must end: the account was deleted, or the appliance stops. detach ends the
	// session, and may be called more than once.
	Attach(login, kind string) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)
}

// A Boundary compares roles and audits. Its methods may be called from any goroutine.
type Boundary interface {
	// AddSession answers requests of a session on a connection from now on. It closes the
	// connection when ended is closed, and calls detach after the connection has ended.
	AddSession(c net.Conn, caller menu.Caller, ended <-chan struct{}, detach func())

	// Files returns the diagnostic directory as a session may use it.
	Files(session string) Files

	// MayFiles reports whether the role of the caller allows any use of files.
	MayFiles(menu.Caller) bool

	// AsError returns err as a user is told it, and logs the cause that a user is not told. what
	// says what failed.
	AsError(what string, err error) *menu.Error
}

// Files are the diagnostic directory as one session may use it. Each call looks up the role of the
// caller and audits. Errors for users are *menu.Error. The methods are for one goroutine.
type Files interface {
	// List begins to list the finished files.
	List() (access.FileListing, error)

	// Stat returns one finished file.
	Stat(name string) (access.File, error)

	// Open opens a file for reading. The caller reports its end by Done.
	Open(name string) (access.File, *os.File, error)

	// Done audits how many bytes of an open file were read.
	Done(name string, bytes int64) error

	// Remove deletes a file.
	Remove(name string) error

	// Close audits the files that are still open.
	Close() error
}

// HostKeys signs for the appliance. The keys do not leave it.
type HostKeys interface {
	// Public returns the public halves in SSH wire format.
	Public() [][]byte

	// Sign signs the hash of a key exchange by algorithm, with the host key of type keyType. It
	// waits for its turn until ctx is done. It returns the signature in SSH wire format.
	Sign(ctx context.Context, keyType, algorithm string, hash []byte) ([]byte, error)
}

// Certificates are what the appliance shows to clients of TLS. The keys do not leave it.
type Certificates interface {
	// Chain returns the present certificate in DER, the leaf first, and whether it is from a CA:
	// not one that signs itself.
	Chain() (chain [][]byte, fromCA bool)

	// Challenge returns the certificate by which a CA that speaks ACME recognises that the
	// appliance has a name (RFC 8737); nil if the CA was not asked for that name.
	Challenge(name string) (chain [][]byte)

	// Sign signs the message of a handshake with the key of a certificate that Chain or Challenge
	// has returned; leaf is its SHA-256. It hashes the message by the algorithm of that number (RFC
	// 8446 section 4.2.3). It fails for anything that no server signs in a handshake of TLS 1.3 or
	// 1.2, and returns no signature and no error for a certificate that is gone.
	Sign(ctx context.Context, leaf []byte, scheme uint16, message []byte) ([]byte, error)
}

// A Spawner starts session processes.
type Spawner interface {
	// Start starts a process with the connection as its descriptor 3. The caller closes the
	// connection.
	Start(program access.Program, connection *os.File) (Child, error)
}

// A Child is a session process that runs.
type Child interface {
	// Files returns the other ends of the process's descriptors: the master of its terminal, or its
	// input, output and errors.
	Files() []*os.File

	// CloseFiles closes them in this process.
	CloseFiles()

	// Signal sends the process a signal by its name without SIG.
	Signal(name string) error

	// HangUp ends the process, by force if need be.
	HangUp()

	// Wait waits for the end of the process. It is called once.
	Wait() (access.Ended, error)
}
