package appliance

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/menu"
)

// An account of the bench.
type account struct {
	user string
	role menu.Role
	uid  int // the user of this machine that is this account on the appliance's socket
}

// accounts are one for every role. The numbers are free on Debian and below those of session
// processes.
var accounts = []account{
	{"admin", menu.Administrator, 60901},
	{"op", menu.Operator, 60902},
	{"ro", menu.ReadOnly, 60903},
	{"sup", menu.Support, 60904},
}

// User is the account that has a role.
func User(role menu.Role) string {
	for _, a := range accounts {
		if a.role == role {
			return a.user
		}
	}
	return ""
}

// Password is an account's password.
func Password(user string) string { return "correct horse " + user }

// privateKeyOf is an account's key. It is no secret, and so always the same.
func privateKeyOf(user string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("the bench's key of " + user))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Key is the key by which an account logs in.
func Key(user string) ssh.Signer {
	signer, err := ssh.NewSignerFromKey(privateKeyOf(user))
	if err != nil {
		panic(err) // an ed25519 key always makes a signer
	}
	return signer
}

// accountLines make the accounts as an administrator does in one line.
func accountLines() string {
	lines := []string{"userconfig password admin password '" + Password("admin") + "'"}
	for _, a := range accounts[1:] {
		key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(Key(a.user).PublicKey())))
		lines = append(lines, fmt.Sprintf("userconfig new %s role %s password '%s' key '%s'", a.user, a.role, Password(a.user), key))
	}
	return strings.Join(lines, "; ")
}

// localUsers is the part of the configuration that says who is who on the socket.
func localUsers() string {
	var b strings.Builder
	b.WriteString("localUsers:\n")
	for _, a := range accounts {
		fmt.Fprintf(&b, "  %d: %s\n", a.uid, a.user)
	}
	return b.String()
}
