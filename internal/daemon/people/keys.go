package people

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

const (
	maxKeys        = 32 // of one account
	minRSABits     = 2048
	maxRSABits     = 8192 // what OpenSSH takes at most is 16384; verifying grows with the cube
	maxKeyComment  = 100
	maxKeyLineSize = 8 << 10
)

// parseKey reads one line in the form of authorized_keys(5) without options.
func parseKey(line string) (access.Key, ssh.PublicKey, error) {
	const accepted = "Paste the one line of a file such as id_ed25519.pub; the types are ed25519, ecdsa, rsa from 2048 bits, and their sk- forms"
	wrong := func(format string, args ...any) (access.Key, ssh.PublicKey, error) {
		return access.Key{}, nil, menu.BadArgument("key", format, args...).WithHint(accepted)
	}
	line = strings.TrimSpace(line)
	switch {
	case strings.Contains(line, "PRIVATE KEY"):
		return wrong("That is a private key; it must stay with its owner")
	case line == "" || len(line) > maxKeyLineSize || strings.ContainsAny(line, "\r\n"):
		return wrong("That is not a public key")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return wrong("That is not a public key")
	case len(options) > 0:
		return wrong("A key with options is not accepted")
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoRSA:
		public, ok := key.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey)
		if !ok || public.N.BitLen() < minRSABits || public.N.BitLen() > maxRSABits {
			return wrong("An RSA key must have %d to %d bits", minRSABits, maxRSABits)
		}
	default:
		return wrong("Keys of the type %s are not accepted", menu.Quoted(key.Type()))
	}
	comment = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, comment)
	if runes := []rune(comment); len(runes) > maxKeyComment {
		comment = string(runes[:maxKeyComment])
	}
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	if comment != "" {
		text += " " + comment
	}
	return access.Key{Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), Comment: comment, Text: text}, key, nil
}

// fingerprintOf is the fingerprint of a key in the SSH wire format, as access.Key has it; empty
// where there is none.
func fingerprintOf(key []byte) string {
	if key == nil {
		return ""
	}
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
