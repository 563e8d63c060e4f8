package https

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

	// Certificate returns the certificate to show, in DER with the leaf first, and whether it is from
	// a CA. It returns no chain if known, the SHA-256 of a chain, is the present one.
	Certificate(ctx context.Context, known []byte) (chain [][]byte, fromCA bool, err error)

	// Challenge returns the certificate by which a CA that speaks ACME recognises that the appliance
	// has a name. Its error is also that the CA was not asked.
	Challenge(ctx context.Context, name string) (chain [][]byte, err error)

	// SignHandshake signs what a server signs in a handshake, with the key of the certificate whose
	// SHA-256 is leaf. scheme is the number of the algorithm (RFC 8446 section 4.2.3).
	SignHandshake(ctx context.Context, leaf []byte, scheme uint16, message []byte) ([]byte, error)

	// SignInWays returns the ways to sign in beside a password.
	SignInWays(ctx context.Context) ([]access.SignInWay, error)

	// BeginSignIn begins a sign-in by the provider of logins, for a browser at source.
	BeginSignIn(ctx context.Context, source string) (access.Redirect, error)

	// Client begins what one login needs, until ctx is done. The caller closes it.
	Client(ctx context.Context) (Client, error)

	// Attach begins a session of a login, of kind web, api or azure, and returns its connection to the
	// boundary: HTTP/2 without TLS. The appliance closes it when the session must end.
	Attach(ctx context.Context, login, kind string) (*os.File, error)
}

// A Client is what one login needs of the appliance.
type Client interface {
	// Login checks credentials, which takes as long as the delay for earlier failures demands. A
	// refusal is of code Denied for wrong credentials, else of another code.
	Login(c access.Credentials) (access.Login, error)

	// Grant returns a pass for the owner of the login, for a client of Azure of that name.
	Grant(client string) (access.Pass, error)

	// Close ends the login, and returns when it has ended. A Login that waits is given up.
	Close() error
}
