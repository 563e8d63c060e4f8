// Package passes makes and reads passes: signed texts (JWT, RFC 7519) by which a client comes in for at
// most an hour after it has shown a password or an API token. A pass is kept nowhere, so that a client
// that keeps one comes in after a restart as well. Whether what it was made for still stands, is asked at
// each use of it, above here.
package passes

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

const (
	// FileName is that of the file with the key, in the data directory.
	FileName = "passes.json"
	// Lifetime is how long a pass lasts at most.
	Lifetime = time.Hour
	// MaxText bounds the text of a pass in bytes.
	MaxText = 4 << 10

	fileVersion = 1
	keyBytes    = 32
	issuer      = "diagsh"
	// leeway is how far the clock may have been set back since a pass was made.
	leeway = time.Minute
)

// A Pass is what a pass says. Clients read its tenant and its times; the rest is for this appliance.
type Pass struct {
	ID      string `json:"jti"`
	Issuer  string `json:"iss"`
	Tenant  string `json:"tid"`
	User    string `json:"sub"`
	Client  string `json:"appid"` // as the client names itself
	Issued  int64  `json:"iat"`   // in seconds since 1970, as the next two
	Begins  int64  `json:"nbf"`
	Expires int64  `json:"exp"`

	// What the pass was made for: an account and its password, or a token of it; or a person without an
	// account. Another account of that name, a new password and another token are not the same.
	Account   time.Time      `json:"accountCreatedTime,omitzero"`
	Proof     string         `json:"proof,omitempty"` // Proof of the password's hash
	Token     string         `json:"token,omitempty"`
	TokenMade time.Time      `json:"tokenCreatedTime,omitzero"`
	Person    *access.Person `json:"person,omitempty"`
}

// Ends returns when the pass ends.
func (p Pass) Ends() time.Time { return time.Unix(p.Expires, 0) }

// A file has the key.
type file struct {
	Key []byte `json:"key"`
}

// UnmarshalJSON refuses a key that is not one of ours.
func (f *file) UnmarshalJSON(data []byte) error {
	type members file
	read := struct {
		Version int `json:"version"`
		members
	}{}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	if len(read.Key) != keyBytes {
		return fmt.Errorf("the key has %d bytes", len(read.Key))
	}
	*f = file(read.members)
	return nil
}

// Passes makes and reads passes by one key. Its methods may be called from any goroutine.
type Passes struct {
	file store.JSON[file]

	mu  sync.Mutex
	key []byte
}

// Open reads the key in a data directory, or makes one. A damaged file is set aside, so that no pass of
// before holds, unless setAside is nil.
func Open(dir string, setAside func(store.Damage)) (*Passes, error) {
	p := &Passes{file: store.JSON[file]{Path: filepath.Join(dir, FileName), Version: fileVersion, SetAside: setAside}}
	var read file
	found, err := p.file.Load(&read)
	if err != nil {
		return nil, err
	}
	if !found {
		return p, p.Renew()
	}
	p.key = read.Key
	return p, nil
}

// Renew makes another key, so that no pass of before holds.
func (p *Passes) Renew() error {
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails: crypto/rand ends the process instead
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.file.Store(file{key}); err != nil {
		return err
	}
	p.key = key
	return nil
}

// signingKey returns the key and the name by which a pass says that it was signed by it.
func (p *Passes) signingKey() (key []byte, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256(append([]byte("name of the key "), p.key...))
	return p.key, hex.EncodeToString(sum[:8])
}

// Proof returns what a pass says of the hash of a password. Who does not have the key learns nothing
// about the hash by it.
func (p *Passes) Proof(hash string) string {
	key, _ := p.signingKey()
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("proof of a password "))
	mac.Write([]byte(hash))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// Make signs a pass that says what of says, from now on for Lifetime, or until last if that is earlier
// and not zero.
func (p *Passes) Make(of Pass, now, last time.Time) (Pass, menu.Secret, error) {
	end := now.Add(Lifetime)
	if !last.IsZero() && last.Before(end) {
		end = last
	}
	of.ID, of.Issuer = rand.Text(), issuer
	of.Issued, of.Begins, of.Expires = now.Unix(), now.Unix(), end.Unix()
	key, name := p.signingKey()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key},
		new(jose.SignerOptions).WithType("JWT").WithHeader("kid", name))
	if err != nil {
		return Pass{}, "", err
	}
	said, err := json.Marshal(of)
	if err != nil {
		return Pass{}, "", err
	}
	signed, err := signer.Sign(said)
	if err != nil {
		return Pass{}, "", err
	}
	text, err := signed.CompactSerialize()
	if err == nil && len(text) > MaxText {
		err = errors.New("the pass is too long")
	}
	return of, menu.Secret(text), err
}

// Reasons why a text does not open the appliance, for the audit log.
var (
	ErrUnknown = errors.New("the pass was not made here")
	ErrExpired = errors.New("the pass has expired")
	ErrEarly   = errors.New("the pass is of a later time than the clock says")
)

// base64URL are the characters of the parts of a pass (RFC 4648 section 5).
const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// IsOne reports whether a text has the form of a pass, and so is no API token.
func IsOne(text menu.Secret) bool { return strings.Count(string(text), ".") == 2 }

// Check returns the pass that a text is. With ErrExpired and ErrEarly it returns the pass, too. What it
// was made for may be gone meanwhile.
func (p *Passes) Check(text menu.Secret, now time.Time) (Pass, error) {
	if len(text) > MaxText || !IsOne(text) || strings.Trim(string(text), base64URL+".") != "" { // jose drops white space
		return Pass{}, ErrUnknown
	}
	signed, err := jose.ParseSignedCompact(string(text), []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return Pass{}, ErrUnknown
	}
	key, name := p.signingKey()
	said, err := signed.Verify(key)
	if err != nil || len(signed.Signatures) != 1 || signed.Signatures[0].Protected.KeyID != name {
		return Pass{}, ErrUnknown
	}
	var pass Pass
	d := json.NewDecoder(bytes.NewReader(said))
	d.DisallowUnknownFields() // a member that is not known might have bound it
	if d.Decode(&pass) != nil || pass.Issuer != issuer {
		return Pass{}, ErrUnknown
	}
	switch {
	case !now.Before(pass.Ends()):
		return pass, ErrExpired
	case now.Add(leeway).Before(time.Unix(pass.Begins, 0)), pass.Expires-pass.Issued > int64(Lifetime/time.Second):
		return pass, ErrEarly
	}
	return pass, nil
}
