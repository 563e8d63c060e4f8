package people

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
)

// maxProvenUser bounds the user name that a signature is for, in bytes. No account has one as long.
const maxProvenUser = 256

// signatures says by which algorithms users prove who they are, and with keys of which type. SHA-1
// (ssh-rsa) is not among them. Nor are certificates: no authority is trusted.
var signatures = map[string]string{
	ssh.KeyAlgoED25519:    ssh.KeyAlgoED25519,
	ssh.KeyAlgoSKED25519:  ssh.KeyAlgoSKED25519,
	ssh.KeyAlgoECDSA256:   ssh.KeyAlgoECDSA256,
	ssh.KeyAlgoECDSA384:   ssh.KeyAlgoECDSA384,
	ssh.KeyAlgoECDSA521:   ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKECDSA256: ssh.KeyAlgoSKECDSA256,
	ssh.KeyAlgoRSASHA256:  ssh.KeyAlgoRSA,
	ssh.KeyAlgoRSASHA512:  ssh.KeyAlgoRSA,
}

// A signedLogin is what a client signs to log in, in the order of RFC 4252 section 7.
type signedLogin struct {
	SessionID []byte
	Message   byte
	User      string
	Service   string
	Method    string
	Signed    bool
	Algorithm string
	Key       []byte
}

const messageUserAuth = 50 // SSH_MSG_USERAUTH_REQUEST

// checkProof returns nil if the credentials hold a signature by their key, for a login as their
// user, in their session. It believes nothing that the front end says: what faces the network may
// have been broken into.
func checkProof(c access.Credentials) error {
	if len(c.SessionID) == 0 {
		return errors.New("no keys were exchanged on the connection")
	}
	if len(c.User) > maxProvenUser {
		return errors.New("the user name is too long")
	}
	keyType, accepted := signatures[c.Algorithm]
	if !accepted {
		return fmt.Errorf("the algorithm %q is not accepted", c.Algorithm)
	}
	key, err := ssh.ParsePublicKey(c.Key)
	if err != nil {
		return err
	}
	if key.Type() != keyType {
		return fmt.Errorf("a key of type %s does not sign by %s", key.Type(), c.Algorithm)
	}
	var signature ssh.Signature
	if err := ssh.Unmarshal(c.Signature, &signature); err != nil {
		return err
	}
	if len(signature.Rest) > 0 && keyType != ssh.KeyAlgoSKED25519 && keyType != ssh.KeyAlgoSKECDSA256 {
		return errors.New("there is data after the signature")
	}
	// gpg-agent before 2.2.6 signs by the other of the two hash functions that RSA has here:
	// package ssh accepts that, too.
	if signature.Format != c.Algorithm && (keyType != ssh.KeyAlgoRSA || signatures[signature.Format] != ssh.KeyAlgoRSA) {
		return fmt.Errorf("a signature by %q is not one by %s", signature.Format, c.Algorithm)
	}
	return key.Verify(ssh.Marshal(signedLogin{
		SessionID: c.SessionID, Message: messageUserAuth, User: c.User, Service: "ssh-connection", Method: access.PublicKey,
		Signed: true, Algorithm: c.Algorithm, Key: c.Key,
	}), &signature)
}
