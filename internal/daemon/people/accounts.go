package people

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// A user is an account as users.json keeps it. What can be had from elsewhere (last login, lock) is
// not in it.
type user struct {
	User     string     `json:"user"`
	FullName string     `json:"fullName"`
	Role     menu.Role  `json:"role"`
	Payload  bool       `json:"payload"`
	Expires  *time.Time `json:"expires,omitempty"`
	Password string     `json:"password,omitempty"` // a PHC string; empty: none is set
	First    bool       `json:"firstPassword,omitempty"`
	Keys     []string   `json:"keys,omitempty"` // lines in the form of authorized_keys(5)
	Created  time.Time  `json:"created"`        // what an earlier account of this name did is not this one's

	keys []access.Key // Keys, parsed
}

// expired reports whether the account may no longer log in.
func (u user) expired(now time.Time) bool { return u.Expires != nil && !now.Before(*u.Expires) }

// lasting reports whether the account is an administrator that can log in today and on any later
// day.
func (u user) lasting() bool {
	return u.Role == menu.Administrator && u.Expires == nil && (u.Password != "" || len(u.Keys) > 0)
}

func (u user) account() access.Account {
	return access.Account{User: u.User, FullName: u.FullName, Role: u.Role, Payload: u.Payload, Expires: u.Expires,
		Password: u.Password != "", Keys: append([]access.Key{}, u.keys...)}
}

// A snapshot is all accounts at one moment. It is never changed: a change makes another one.
type snapshot struct {
	users map[string]user
	keys  map[keyOwner]bool
}

// A keyOwner is an account and one of its keys (SHA-256 of the SSH wire format). Looking one up
// takes the same time whether or not the user exists.
type keyOwner struct {
	user string
	key  [sha256.Size]byte
}

// accounts keeps the present snapshot and its file. Readers never wait for the disk.
type accounts struct {
	file   store.JSON[accountsFile]
	now    atomic.Pointer[snapshot]
	change sync.Mutex // held while the next snapshot is made

	onChanged func(users []string) // told which accounts changed, appeared or went; nil while they are opened
}

// accountsFile is the content of users.json.
type accountsFile struct {
	Users []user `json:"users"`
}

// openAccounts reads the accounts. fresh reports whether there never were any.
func openAccounts(path string) (a *accounts, fresh bool, err error) {
	a = &accounts{file: store.JSON[accountsFile]{Path: path, Version: 1}}
	var file accountsFile
	known, err := a.file.Load(&file)
	if err != nil {
		return nil, false, err
	}
	r, err := makeSnapshot(file.Users)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	a.now.Store(r)
	return a, !known, nil
}

// makeSnapshot checks accounts and indexes their keys.
func makeSnapshot(users []user) (*snapshot, error) {
	r := &snapshot{users: make(map[string]user, len(users)), keys: make(map[keyOwner]bool)}
	for _, u := range users {
		if err := checkUserName(u.User); err != nil {
			return nil, err
		}
		if _, twice := r.users[u.User]; twice {
			return nil, fmt.Errorf("the user %s is there twice", u.User)
		}
		if !u.Role.Valid() {
			return nil, fmt.Errorf("the role of %s is unknown", u.User)
		}
		if u.Password != "" {
			if _, err := parsePHC(u.Password); err != nil {
				return nil, fmt.Errorf("user %s: %w", u.User, err)
			}
		}
		u.keys = nil
		for _, line := range u.Keys {
			k, public, err := parseKey(line)
			if err != nil {
				return nil, fmt.Errorf("a key of %s: %w", u.User, err)
			}
			u.keys = append(u.keys, k)
			r.keys[keyOwner{u.User, sha256.Sum256(public.Marshal())}] = true
		}
		r.users[u.User] = u
	}
	return r, nil
}

// sorted lists the users by name.
func (r *snapshot) sorted() []user {
	list := make([]user, 0, len(r.users))
	for _, u := range r.users {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b user) int { return strings.Compare(a.User, b.User) })
	return list
}

func (r *snapshot) lasting() (n int) {
	for _, u := range r.users {
		if u.lasting() {
			n++
		}
	}
	return n
}

// get finds one user.
func (a *accounts) get(name string) (user, bool) {
	u, ok := a.now.Load().users[name]
	return u, ok
}

// update makes and writes the next snapshot. edit changes the map in place; its error, or that of
// the disk, leaves all as it was. No edit may take away the last administrator that can log in.
func (a *accounts) update(edit func(users map[string]user) error) error {
	a.change.Lock()
	defer a.change.Unlock()
	before := a.now.Load()
	users := make(map[string]user, len(before.users)+1)
	for name, u := range before.users {
		u.Keys = slices.Clone(u.Keys)
		users[name] = u
	}
	if err := edit(users); err != nil {
		return err
	}
	next, err := makeSnapshot((&snapshot{users: users}).sorted())
	if err != nil {
		return err
	}
	if before.lasting() > 0 && next.lasting() == 0 {
		return menu.Errorf(menu.State, "This would leave no administrator that can log in").
			WithHint("Make another administrator with a password or a key first, one that does not expire")
	}
	if err := a.file.Store(accountsFile{Users: next.sorted()}); err != nil {
		return err
	}
	a.now.Store(next)
	if a.onChanged != nil {
		a.onChanged(before.differs(next))
	}
	return nil
}

// differs returns the users who have another account, or none, in one of two snapshots.
func (r *snapshot) differs(next *snapshot) (names []string) {
	all := maps.Clone(r.users)
	maps.Copy(all, next.users)
	for name := range all {
		if !reflect.DeepEqual(r.users[name], next.users[name]) {
			names = append(names, name)
		}
	}
	return names
}

// updateUser is update for one user that must exist.
func (a *accounts) updateUser(name string, edit func(u *user) error) error {
	return a.update(func(users map[string]user) error {
		u, ok := users[name]
		if !ok {
			return noSuchUser(name, users)
		}
		if err := edit(&u); err != nil {
			return err
		}
		users[name] = u
		return nil
	})
}

func noSuchUser(name string, users map[string]user) error {
	names := make([]string, 0, len(users))
	for n := range users {
		names = append(names, n)
	}
	slices.Sort(names)
	e := &menu.Error{Code: menu.NotFound, Argument: "user", Message: "There is no user " + menu.Quoted(name)}
	if near := menu.Nearest(name, names); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// FirstAdministrator is the name of the account that the first start makes.
const FirstAdministrator = "admin"

// begin makes FirstAdministrator, writes its password into a file and returns it.
func (a *accounts) begin(h *hasher, file string) (menu.Secret, error) {
	password := randomPassword()
	hash := h.hash(password)
	if err := store.Replace(file, []byte(password+"\n")); err != nil {
		return "", err
	}
	return password, a.update(func(users map[string]user) error {
		users[FirstAdministrator] = firstAccount(hash)
		return nil
	})
}

// firstAccount is that administrator, with the hash of the first password.
func firstAccount(hash string) user {
	return user{User: FirstAdministrator, FullName: "Administrator", Role: menu.Administrator, Payload: true,
		Password: hash, First: true, Created: time.Now()}
}

// install adds the keys of a file in the form of authorized_keys(5) to FirstAdministrator. Keys
// that the account has stay as they are.
func (a *accounts) install(keyFile string) error {
	data, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("the administrator's keys: %w", err)
	}
	var keys []access.Key
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		k, _, err := parseKey(line)
		if err != nil {
			return fmt.Errorf("%s line %d: %w", filepath.Base(keyFile), i+1, err)
		}
		keys = append(keys, k)
	}
	admin, ok := a.get(FirstAdministrator)
	if !ok {
		return fmt.Errorf("%s is for the user %s, who was deleted", filepath.Base(keyFile), FirstAdministrator)
	}
	keys = slices.DeleteFunc(keys, func(k access.Key) bool { return admin.hasKey(k.Fingerprint) })
	if len(keys) == 0 {
		return nil
	}
	return a.updateUser(FirstAdministrator, func(u *user) error {
		for _, k := range keys {
			u.Keys = append(u.Keys, k.Text)
		}
		return nil
	})
}

func (u user) hasKey(fingerprint string) bool {
	return slices.ContainsFunc(u.keys, func(k access.Key) bool { return k.Fingerprint == fingerprint })
}
