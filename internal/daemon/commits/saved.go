package commits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"diagsh/internal/config"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// savedNames bounds the names of saved configurations, savedFiles how many there are.
const (
	savedNames = 64
	savedFiles = 100
)

// SaveConfiguration writes the committed configuration into the configuration directory, where it
// takes no file's place unless it is to replace it. An empty name becomes one of host and time.
func (c *Commits) SaveConfiguration(name string, replace bool) (config.Saved, error) {
	if name == "" {
		replace = true // The same moment's is the same.
		name = c.o.Hostname() + "-" + time.Now().UTC().Format("20060102-150405")
	}
	if err := checkSavedName(name); err != nil {
		return config.Saved{}, err
	}
	name = strings.TrimSuffix(name, config.SavedSuffix) + config.SavedSuffix
	c.transaction.Lock() // one goroutine at a time replaces a file
	defer c.transaction.Unlock()
	saved, err := c.SavedConfigurations()
	if err != nil {
		return config.Saved{}, err
	}
	switch i := slices.IndexFunc(saved, func(s config.Saved) bool { return s.Is(name) }); {
	case i >= 0 && !replace:
		return config.Saved{}, &menu.Error{Code: menu.State, Argument: "name", Message: fmt.Sprintf("There is %s of %s already", name, menu.UTC(saved[i].Time)),
			Hint: "Choose another name, or add: replace yes"}
	case i < 0 && len(saved) >= savedFiles:
		return config.Saved{}, menu.Errorf(menu.State, "There are %d saved configurations already", len(saved)).WithHint("Save under the name of an older one to replace it")
	}
	text := c.view("").Running.YAML()
	if err := store.Replace(filepath.Join(c.folder, name), text); err != nil {
		return config.Saved{}, menu.Failing("save the configuration", err)
	}
	return config.Saved{Name: name, Bytes: int64(len(text)), Time: time.Now().UTC().Truncate(time.Second)}, nil
}

// checkSavedName wants a plain file name.
func checkSavedName(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > savedNames || strings.Trim(name, first+"._-") != "" || !strings.ContainsRune(first, rune(name[0])) {
		return menu.BadArgument("name", "%s is not a name for a configuration", menu.Quoted(name)).
			WithHint("A name has at most %d letters, digits, dots, hyphens and underscores, and begins with a letter or digit", savedNames)
	}
	return nil
}

// SavedConfigurations lists the files of the configuration directory, by name.
func (c *Commits) SavedConfigurations() ([]config.Saved, error) {
	entries, err := os.ReadDir(c.folder)
	if err != nil {
		return nil, menu.Failing("list the configuration directory", err)
	}
	list := []config.Saved{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(e.Name(), config.SavedSuffix) || checkSavedName(e.Name()) != nil {
			continue
		}
		list = append(list, config.Saved{Name: e.Name(), Bytes: info.Size(), Time: info.ModTime().UTC().Truncate(time.Second)})
	}
	return list, nil
}

// LoadSaved makes a file of the configuration directory the caller's candidate.
func (c *Commits) LoadSaved(caller menu.Caller, name string) error {
	missing := &menu.Error{Code: menu.NotFound, Argument: "file", Message: "There is no saved configuration " + menu.Quoted(name), Hint: "saveconfig makes one"}
	if checkSavedName(name) != nil {
		return missing
	}
	text, err := store.ReadBounded(filepath.Join(c.folder, strings.TrimSuffix(name, config.SavedSuffix)+config.SavedSuffix), config.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	if err != nil {
		return menu.Failing("read the saved configuration", err)
	}
	return c.LoadConfiguration(caller, string(text))
}

// LoadConfiguration makes a text the caller's candidate, if nothing is wrong with it.
func (c *Commits) LoadConfiguration(caller menu.Caller, text string) error {
	document, lines, faults := config.Parse([]byte(text))
	if len(faults) > 0 {
		return faulty(faults)
	}
	return c.replaceCandidate(caller, document, lines)
}
