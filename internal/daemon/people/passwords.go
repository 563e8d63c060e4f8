package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"

	"diagsh/internal/menu"
)

// The costs of new hashes: the second recommendation of RFC 9106, section 4, for machines that have
// no 2 GiB to spend.
const (
	argonMemoryKiB = 64 << 10
	argonPasses    = 3
	argonLanes     = 4
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// Bounds of the hashing: slots at once, 64 MiB each, and a queue of about 30 seconds of work. A
// client at a source that the same user logged in from lately has a slot and places of its own,
// which no stranger can take.
const (
	hashingSlots = 2
	hashingQueue = 256
	trustedSlots = 1
	trustedQueue = 16
)

// A hasher makes and checks argon2id hashes, a bounded number at a time.
type hasher struct {
	strangers *turnstile
	trusted   *turnstile
	making    sync.Mutex // held while a hash is made
	decoy     string     // what a password is compared with when there is nothing to compare it with
}

func newHasher() *hasher {
	h := &hasher{strangers: newTurnstile(hashingSlots, hashingQueue), trusted: newTurnstile(trustedSlots, trustedQueue)}
	// Never equal to any password, and it costs what a real one costs.
	h.decoy = phcString(randomBytes(argonSaltBytes), randomBytes(argonKeyBytes))
	return h
}

// errBusy is the answer when the queue is full. Nothing was checked.
var errBusy = menu.Errorf(menu.State, "Too many logins are being checked at this moment").
	WithHint("Try again in a few seconds")

// hash returns the PHC string of a password. One is made at a time, and it does not wait for checks
// of logins: only a user who is logged in makes hashes.
func (h *hasher) hash(password menu.Secret) string {
	h.making.Lock()
	defer h.making.Unlock()
	defer h.tidy()
	salt := randomBytes(argonSaltBytes)
	return phcString(salt, argon2.IDKey([]byte(password), salt, argonPasses, argonMemoryKiB, argonLanes, argonKeyBytes))
}

// verify reports whether password is the one of a PHC string. With an empty string it takes as long
// and returns false. from is the source; trusted reports whether the user logged in from there
// lately.
func (h *hasher) verify(ctx context.Context, password menu.Secret, phc, from string, trusted bool) (bool, error) {
	known := phc != ""
	if !known {
		phc = h.decoy
	}
	p, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	line := h.strangers
	if trusted {
		line = h.trusted
	}
	if err := line.enter(ctx, from); err != nil {
		return false, err
	}
	defer h.tidy()
	defer line.leave()
	key := argon2.IDKey([]byte(password), p.salt, p.passes, p.memoryKiB, p.lanes, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1 && known, nil
}

// tidy gives memory back to the machine when no hash is computed. An appliance that idles should
// not hold 128 MiB because a user logged in.
func (h *hasher) tidy() {
	if h.strangers.idle(hashingSlots) && h.trusted.idle(trustedSlots) {
		go debug.FreeOSMemory()
	}
}

// A phc is a password hash taken apart.
type phc struct {
	memoryKiB uint32
	passes    uint32
	lanes     uint8
	salt, key []byte
}

// phcString writes a hash in the form of https://github.com/P-H-C/phc-string-format, which other
// argon2 programs read too.
func phcString(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemoryKiB, argonPasses, argonLanes,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// parsePHC takes such a string apart. It refuses costs above ours by more than a factor of four, so
// that a damaged file cannot make a login use up the machine.
func parsePHC(text string) (phc, error) {
	var p phc
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errors.New("the password hash is not argon2id in PHC form")
	}
	if n, err := fmt.Sscanf(parts[3]+"$", "m=%d,t=%d,p=%d$", &p.memoryKiB, &p.passes, &p.lanes); n != 3 || err != nil {
		return p, errors.New("the costs of the password hash cannot be read")
	}
	if p.memoryKiB < 8*uint32(p.lanes) || p.memoryKiB > 4*argonMemoryKiB || p.passes < 1 || p.passes > 4*argonPasses ||
		p.lanes < 1 || p.lanes > 4*argonLanes {
		return p, errors.New("the costs of the password hash are out of range")
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
		p.key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(p.salt) < 8 || len(p.salt) > 64 || len(p.key) < 16 || len(p.key) > 64 {
		return p, errors.New("salt and key of the password hash cannot be read")
	}
	return p, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

// randomText returns n characters of the alphabet, each equally likely. The alphabet has at most
// 256 characters.
func randomText(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	text := make([]byte, 0, n)
	for len(text) < n {
		if b := randomBytes(1)[0]; int(b) < limit {
			text = append(text, alphabet[int(b)%len(alphabet)])
		}
	}
	return string(text)
}

// randomPassword is one that can be read out on a phone: four groups of four characters, none of
// which looks or sounds like another (no i, l, o, 0, 1). 79 bits.
func randomPassword() menu.Secret {
	const alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
	t := randomText(alphabet, 16)
	return menu.Secret(t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:])
}
