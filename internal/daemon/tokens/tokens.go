// Package tokens keeps the API tokens: of each its rights, its end, and the hash of its secret. A
// token is dsh_ID_SECRET, with 32 random bytes as the secret. So a hash without salt and cost is
// enough: it cannot be guessed.
package tokens

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

const (
	// version is the form of the file that is written.
	version = 1
	// prefix begins every token, so that programs that search for leaked secrets know one.
	prefix      = "dsh"
	secretBytes = 32
	// maxOfUser is how many tokens an account may have, those that have expired included.
	maxOfUser = 50
	// keepExpired is how long after its end a token is still listed.
	keepExpired = 30 * 24 * time.Hour
	// writeUsesEvery is how often uses are written down at most. A crash loses no more of them.
	writeUsesEvery = time.Minute
)

// The characters of secrets and identifiers: none that looks like another.
const (
	letters = "abcdefghjkmnpqrstuvwxyz"
	digits  = "123456789"
)

var alphabet = base32.NewEncoding(letters + digits).WithPadding(base32.NoPadding)

// A record is a token as the file has it.
type record struct {
	access.Token
	Hash string `json:"sha256"` // of the secret, in hexadecimal digits
}

type file struct {
	Tokens []record `json:"tokens"`
}

// UnmarshalJSON refuses the whole file where any of it is not as Store writes it. A token of which a
// member is not known might have lost what bounds it.
func (f *file) UnmarshalJSON(data []byte) error {
	type members file
	read := struct {
		Version int `json:"version"`
		members
	}{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&read); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range read.Tokens {
		switch {
		case r.ID == "" || known[r.ID]:
			return fmt.Errorf("the token %s is there twice or has no identifier", menu.Quoted(r.ID))
		case r.User == "" || !r.Role.Valid() || len(r.Hash) != len(hashOf("")):
			return fmt.Errorf("the token %s has no user, role or hash", menu.Quoted(r.ID))
		case r.Sources == nil || r.Paths == nil:
			return fmt.Errorf("the token %s does not say from where and for what it is", menu.Quoted(r.ID))
		}
		known[r.ID] = true
	}
	*f = file(read.members)
	return nil
}

// Tokens are all tokens. Their methods may be called from any goroutine.
type Tokens struct {
	file store.JSON[file]
	tell access.Teller // that the tokens of a user are others

	storing sync.Mutex // held while the file is written. Who asks with a token does not wait for the disk

	mu      sync.Mutex
	tokens  map[string]record // by identifier
	unsaved bool              // a use is not in the file yet
	saved   time.Time
}

// Open reads the tokens in a data directory. tell is told the name of each user whose tokens
// change. A damaged file is set aside, so that no token holds, unless setAside is nil.
func Open(dir string, tell access.Teller, setAside func(store.Damage)) (*Tokens, error) {
	t := &Tokens{tokens: map[string]record{}, tell: tell,
		file: store.JSON[file]{Path: filepath.Join(dir, "tokens.json"), Version: version, SetAside: setAside}}
	var read file
	if _, err := t.file.Load(&read); err != nil {
		return nil, err
	}
	for _, r := range read.Tokens {
		t.tokens[r.ID] = r
	}
	return t, nil
}

// Make makes a token with the name, the user, the role, the end, the sources and the paths of
// wanted. It returns the token with its identifier, and the text that opens the appliance, which is
// kept nowhere.
func (t *Tokens) Make(wanted access.Token) (access.Token, menu.Secret, error) {
	if err := check(&wanted); err != nil {
		return access.Token{}, "", err
	}
	random := make([]byte, secretBytes)
	rand.Read(random) // never fails: crypto/rand ends the process instead
	secret := alphabet.EncodeToString(random)
	wanted.Created, wanted.LastUsed, wanted.LastFrom = time.Now(), nil, ""
	wanted.Paths = append([]string{}, wanted.Paths...)
	err := t.change(func(tokens map[string]record) error {
		own := 0
		for _, r := range tokens {
			if r.User != wanted.User {
				continue
			}
			if own++; r.Name == wanted.Name {
				return &menu.Error{Code: menu.State, Argument: "name",
					Message: "The user " + r.User + " has a token of that name already", Hint: "Choose another name, or delete that one first"}
			}
		}
		if own >= maxOfUser {
			return menu.Errorf(menu.State, "The user %s has %d tokens, which is the most", wanted.User, own).
				WithHint("Delete one first")
		}
		for wanted.ID == "" || tokens[wanted.ID].ID != "" {
			wanted.ID = randomID()
		}
		tokens[wanted.ID] = record{Token: wanted, Hash: hashOf(secret)}
		return nil
	})
	if err != nil {
		return access.Token{}, "", menu.Failing("make the token", err)
	}
	return wanted, menu.Secret(prefix + "_" + wanted.ID + "_" + secret), nil
}

// randomID returns four letters and four digits, which are easy to read out.
func randomID() string {
	id := make([]byte, 8)
	rand.Read(id)
	for i, b := range id {
		from := letters
		if i >= len(id)/2 {
			from = digits
		}
		id[i] = from[int(b)%len(from)]
	}
	return string(id)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Reasons why a token does not open the appliance. They are for the audit log: a client is told
// that the token is not valid.
var (
	ErrUnknown = errors.New("there is no such token")
	ErrExpired = errors.New("the token has expired")
	ErrSource  = errors.New("the token may not be used from there")
)

// Check returns the token that a text is, if it may be used now from an address. With ErrExpired
// and ErrSource it returns the token, too.
func (t *Tokens) Check(text menu.Secret, source string, now time.Time) (access.Token, error) {
	rest, ours := strings.CutPrefix(string(text), prefix+"_")
	id, secret, whole := strings.Cut(rest, "_")
	t.mu.Lock()
	r, known := t.tokens[id]
	t.mu.Unlock()
	same := subtle.ConstantTimeCompare([]byte(hashOf(secret)), []byte(r.Hash)) == 1
	switch {
	case !ours || !whole || !known || !same:
		return access.Token{}, ErrUnknown
	case !now.Before(r.Expires):
		return r.Token, ErrExpired
	case !allowedFrom(r.Sources, source):
		return r.Token, ErrSource
	}
	return r.Token, nil
}

// CheckSource returns ErrSource if a token may not be used from an address, and ErrUnknown if there is no
// such token.
func (t *Tokens) CheckSource(id, source string) error {
	one, known := t.Get(id)
	switch {
	case !known:
		return ErrUnknown
	case !allowedFrom(one.Sources, source):
		return ErrSource
	}
	return nil
}

// allowedFrom reports whether an address is in one of the networks; all are, where there is none.
func allowedFrom(networks []string, source string) bool {
	if len(networks) == 0 {
		return true
	}
	address, err := netip.ParseAddr(source)
	if err != nil {
		return false
	}
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(text string) bool {
		network, err := netip.ParsePrefix(text)
		return err == nil && network.Contains(address)
	})
}

// Used notes a use of a token.
func (t *Tokens) Used(id, source string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, known := t.tokens[id]; known {
		r.LastUsed, r.LastFrom = &now, source
		t.tokens[id] = r
		t.unsaved = true
	}
}

// Get returns a token that has not been deleted.
func (t *Tokens) Get(id string) (access.Token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.tokens[id]
	return r.Token, known
}

// List returns the tokens of a user, or of all users if user is empty: by user, the oldest first.
func (t *Tokens) List(user string) []access.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []access.Token{}
	for _, r := range sorted(t.tokens) {
		if user == "" || r.User == user {
			list = append(list, r.Token)
		}
	}
	return list
}

func sorted(tokens map[string]record) []record {
	return slices.SortedFunc(maps.Values(tokens), func(a, b record) int {
		return cmp.Or(cmp.Compare(a.User, b.User), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// Delete deletes the tokens that are chosen, and returns them.
func (t *Tokens) Delete(chosen func(access.Token) bool) ([]access.Token, error) {
	var deleted []access.Token
	err := t.change(func(tokens map[string]record) error {
		for id, r := range tokens {
			if chosen(r.Token) {
				deleted = append(deleted, r.Token)
				delete(tokens, id)
			}
		}
		return nil
	})
	return deleted, menu.Failing("delete the tokens", err)
}

// change makes a change when the disk has it. After an error all is as it was.
func (t *Tokens) change(edit func(map[string]record) error) error {
	t.storing.Lock()
	defer t.storing.Unlock()
	before := t.all()
	next := maps.Clone(before)
	if err := edit(next); err != nil {
		return err
	}
	if len(next) == len(before) {
		return nil // nothing was chosen
	}
	if err := t.file.Store(file{Tokens: sorted(next)}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, r := range t.tokens {
		if _, stays := next[id]; !stays {
			delete(t.tokens, id)
			t.tell.Changed(r.User)
		}
	}
	for id, r := range next {
		if _, known := before[id]; !known {
			t.tokens[id] = r
			t.tell.Changed(r.User)
		}
	}
	return nil
}

// all returns a copy of the tokens by their identifiers.
func (t *Tokens) all() map[string]record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.tokens)
}

// Sweep forgets tokens that expired long ago, and writes down the latest uses.
func (t *Tokens) Sweep(now time.Time) error {
	_, err := t.Delete(func(one access.Token) bool { return now.Sub(one.Expires) > keepExpired })
	if err != nil {
		return err
	}
	t.mu.Lock()
	due := now.Sub(t.saved) >= writeUsesEvery
	t.mu.Unlock()
	if !due {
		return nil
	}
	return t.Save(now)
}

// Save writes down the latest uses.
func (t *Tokens) Save(now time.Time) error {
	t.storing.Lock()
	defer t.storing.Unlock()
	t.mu.Lock()
	unsaved, tokens := t.unsaved, maps.Clone(t.tokens)
	if unsaved {
		t.unsaved, t.saved = false, now
	}
	t.mu.Unlock()
	if !unsaved {
		return nil
	}
	err := t.file.Store(file{Tokens: sorted(tokens)})
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.unsaved = true
	}
	return err
}
