// Package savedfilters keeps the filters that users name, each user's own. They are in one file,
// which is replaced as a whole.
package savedfilters

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// Bounds of the filters that users keep.
const (
	maxFilters    = 100     // of a user
	maxName       = 64      // characters
	maxExpression = 4 << 10 // bytes
)

// A Book has the filters. Its methods may be called from any goroutine.
type Book struct {
	log  *slog.Logger
	file store.JSON[content]

	mu  sync.Mutex
	now content
}

// content is what the file holds: the filters of each user, sorted by name.
type content struct {
	Users map[string][]access.SavedFilter `json:"users"`
}

// Open reads the file. setAside is told if it is damaged; nil makes that an error.
func Open(path string, setAside func(store.Damage), log *slog.Logger) (*Book, error) {
	b := &Book{log: log, file: store.JSON[content]{Path: path, Version: 1, SetAside: setAside}}
	_, err := b.file.Load(&b.now)
	return b, err
}

// change stores what edit makes of a user's filters. Where that fails they stay as they were.
func (b *Book) change(user string, edit func([]access.SavedFilter) ([]access.SavedFilter, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, err := edit(slices.Clone(b.now.Users[user]))
	if err != nil {
		return err
	}
	next := content{Users: map[string][]access.SavedFilter{}}
	for other, filters := range b.now.Users {
		next.Users[other] = filters
	}
	delete(next.Users, user)
	if len(list) > 0 {
		next.Users[user] = list
	}
	if err := b.file.Store(next); err != nil {
		return menu.Failing("keep the filters", err)
	}
	b.now = next
	return nil
}

func nameIs(name string) func(access.SavedFilter) bool {
	return func(f access.SavedFilter) bool { return strings.EqualFold(f.Name, name) }
}

// SavedFilters returns the filters that a user keeps, sorted by name.
func (b *Book) SavedFilters(user string) []access.SavedFilter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.now.Users[user])
}

// SaveFilter keeps a filter for a user, in the place of one of the same name. The caller has checked
// the expression.
func (b *Book) SaveFilter(user string, f access.SavedFilter) error {
	f.Name, f.Expression = strings.TrimSpace(f.Name), strings.TrimSpace(f.Expression)
	switch {
	case f.Name == "":
		return menu.BadArgument("name", "The name is empty")
	case utf8.RuneCountInString(f.Name) > maxName || !utf8.ValidString(f.Name) ||
		strings.ContainsFunc(f.Name, unicode.IsControl):
		return menu.BadArgument("name", "The name is not one that can be kept").
			WithHint("It has at most %d characters of text", maxName)
	case len(f.Expression) > maxExpression:
		return menu.BadArgument("expression", "The filter is longer than %d bytes", maxExpression)
	}
	return b.change(user, func(list []access.SavedFilter) ([]access.SavedFilter, error) {
		list = slices.DeleteFunc(list, nameIs(f.Name))
		if len(list) >= maxFilters {
			return nil, menu.Errorf(menu.State, "%d filters are kept, which is the most", maxFilters).
				WithHint("Delete one first")
		}
		list = append(list, f)
		slices.SortFunc(list, func(a, b access.SavedFilter) int {
			return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
		})
		return list, nil
	})
}

// DeleteFilter deletes a filter that a user keeps.
func (b *Book) DeleteFilter(user, name string) error {
	return b.change(user, func(list []access.SavedFilter) ([]access.SavedFilter, error) {
		left := slices.DeleteFunc(slices.Clone(list), nameIs(name))
		if len(left) == len(list) {
			return nil, &menu.Error{Code: menu.NotFound, Argument: "name", Message: "You keep no filter " + menu.Quoted(name),
				Hint: "filter list shows them"}
		}
		return left, nil
	})
}

// ForgetFilters deletes what a user keeps whose account was deleted.
func (b *Book) ForgetFilters(user string) {
	err := b.change(user, func([]access.SavedFilter) ([]access.SavedFilter, error) { return nil, nil })
	if err != nil {
		b.log.Error("the filters of a deleted account could not be deleted", "user", user, "error", err)
	}
}

// ForgetAllFilters deletes the filters of all users.
func (b *Book) ForgetAllFilters() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.now.Users) == 0 {
		return nil
	}
	next := content{Users: map[string][]access.SavedFilter{}}
	if err := b.file.Store(next); err != nil {
		return menu.Failing("delete the filters", err)
	}
	b.now = next
	return nil
}

// CountFilters returns how many filters are kept, of all users.
func (b *Book) CountFilters() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range b.now.Users {
		n += len(list)
	}
	return n
}
