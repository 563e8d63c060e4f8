package privsep

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
)

// exchangeHashes are the hash functions of key exchanges, by their names in FIPS 180-4.
var exchangeHashes = map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New}

const messageKexInit = 20 // SSH_MSG_KEXINIT

// An exchange is the part of a key exchange that tells whose it is.
type exchange struct {
	cookie  [16]byte // of the server's SSH_MSG_KEXINIT
	hostKey []byte   // the server's, in SSH wire format
	keyType string   // of that key
}

// parseExchange reads the text of an exchange hash: both versions, both SSH_MSG_KEXINIT, the host
// key, and what depends on the method (RFC 4253 section 8, RFC 4419 section 3, RFC 5656 section 4).
func parseExchange(text []byte) (exchange, error) {
	var parts [5][]byte
	for i := range parts {
		var ok bool
		if parts[i], text, ok = cutString(text); !ok || len(parts[i]) == 0 {
			return exchange{}, outOfStep("the text to sign is not a key exchange")
		}
	}
	clientInit, serverInit, hostKey := parts[2], parts[3], parts[4]
	keyType, _, ok := cutString(hostKey)
	inits := clientInit[0] == messageKexInit && serverInit[0] == messageKexInit && len(serverInit) >= 17
	if !ok || !inits || len(text) == 0 {
		return exchange{}, outOfStep("the text to sign is not a key exchange")
	}
	return exchange{cookie: [16]byte(serverInit[1:17]), hostKey: hostKey, keyType: string(keyType)}, nil
}

// cutString cuts the first string off text (RFC 4251 section 5).
func cutString(text []byte) (s, rest []byte, ok bool) {
	if len(text) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(text)
	if uint64(n) > uint64(len(text)-4) {
		return nil, nil, false
	}
	return text[4 : 4+n], text[4+n:], true
}
