package captures

import (
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
	maxSavedFilters    = 100     // of a user
	maxSavedFilterName = 64      // characters
	maxSavedFilter     = 4 << 10 // bytes
)

// savedFilters are the filters that users keep by a name, each user's own. They are in one file,
// which is replaced as a whole.
type savedFilters struct {
	file store.JSON[savedFiltersFile]

	mu  sync.Mutex
	now savedFiltersFile
}

// savedFiltersFile is the content of filters.json: the filters of each user, sorted by name.
type savedFiltersFile struct {
	Users map[string][]access.SavedFilter `json:"users"`
}

func (s *savedFilters) open(path string, setAside func(store.Damage)) error {
	s.file = store.JSON[savedFiltersFile]{Path: path, Version: 1, SetAside: setAside}
	_, err := s.file.Load(&s.now)
	return err
}

// change stores what edit makes of a user's filters. Where that fails they stay as they were.
func (s *savedFilters) change(user string, edit func([]access.SavedFilter) ([]access.SavedFilter, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := edit(slices.Clone(s.now.Users[user]))
	if err != nil {
		return err
	}
	next := savedFiltersFile{Users: map[string][]access.SavedFilter{}}
	for other, filters := range s.now.Users {
		next.Users[other] = filters
	}
	delete(next.Users, user)
	if len(list) > 0 {
		next.Users[user] = list
	}
	if err := s.file.Store(next); err != nil {
		return menu.Failing("keep the filters", err)
	}
	s.now = next
	return nil
}

func nameIs(name string) func(access.SavedFilter) bool {
	return func(f access.SavedFilter) bool { return strings.EqualFold(f.Name, name) }
}

// SavedFilters returns the filters that a user keeps, sorted by name.
func (t *Table) SavedFilters(user string) []access.SavedFilter {
	t.saved.mu.Lock()
	defer t.saved.mu.Unlock()
	return slices.Clone(t.saved.now.Users[user])
}

// SaveFilter keeps a filter for a user, in the place of one of the same name. The caller has checked
// the expression.
func (t *Table) SaveFilter(user string, f access.SavedFilter) error {
	f.Name, f.Expression = strings.TrimSpace(f.Name), strings.TrimSpace(f.Expression)
	switch {
	case f.Name == "":
		return menu.BadArgument("name", "The name is empty")
	case utf8.RuneCountInString(f.Name) > maxSavedFilterName || !utf8.ValidString(f.Name) ||
		strings.ContainsFunc(f.Name, unicode.IsControl):
		return menu.BadArgument("name", "The name is not one that can be kept").
			WithHint("It has at most %d characters of text", maxSavedFilterName)
	case len(f.Expression) > maxSavedFilter:
		return menu.BadArgument("expression", "The filter is longer than %d bytes", maxSavedFilter)
	}
	return t.saved.change(user, func(list []access.SavedFilter) ([]access.SavedFilter, error) {
		list = slices.DeleteFunc(list, nameIs(f.Name))
		if len(list) >= maxSavedFilters {
			return nil, menu.Errorf(menu.State, "%d filters are kept, which is the most", maxSavedFilters).
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
func (t *Table) DeleteFilter(user, name string) error {
	return t.saved.change(user, func(list []access.SavedFilter) ([]access.SavedFilter, error) {
		left := slices.DeleteFunc(slices.Clone(list), nameIs(name))
		if len(left) == len(list) {
			return nil, &menu.Error{Code: menu.NotFound, Argument: "name", Message: "You keep no filter " + menu.Quoted(name),
				Hint: "filter list shows them"}
		}
		return left, nil
	})
}

// ForgetFilters deletes what a user keeps whose account was deleted.
func (t *Table) ForgetFilters(user string) {
	err := t.saved.change(user, func([]access.SavedFilter) ([]access.SavedFilter, error) { return nil, nil })
	if err != nil {
		t.log.Error("the filters of a deleted account could not be deleted", "user", user, "error", err)
	}
}

// forgetAll deletes the filters of all users.
func (s *savedFilters) forgetAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.now.Users) == 0 {
		return nil
	}
	next := savedFiltersFile{Users: map[string][]access.SavedFilter{}}
	if err := s.file.Store(next); err != nil {
		return menu.Failing("delete the filters", err)
	}
	s.now = next
	return nil
}

func (s *savedFilters) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.now.Users {
		n += len(list)
	}
	return n
}
