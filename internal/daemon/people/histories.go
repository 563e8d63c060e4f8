package people

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

const (
	keptLines      = 500     // of a user's history
	maxHistoryLine = 4 << 10 // bytes

	// historyForm begins the first line of a file, and historyVersion ends it. Files of the builds
	// before have no such line.
	historyForm    = "# diagsh history "
	historyVersion = 1
)

// histories keeps the lines that users typed, a file for each. A user's file may hold twice as many
// lines as are kept before it is rewritten, so that a new line is one append.
type histories struct {
	dir string
	mu  sync.Mutex
}

func openHistories(dir string) (*histories, error) {
	return &histories{dir: dir}, os.MkdirAll(dir, 0o700)
}

// add keeps one line. A line that repeats the one before it, is empty or cannot be shown again as
// it was typed is not kept.
func (h *histories) add(user, line string) error {
	line = strings.TrimSpace(line)
	if line == "" || len(line) > maxHistoryLine || strings.ContainsFunc(line, unicode.IsControl) ||
		!mayHaveHistory(user) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	lines, whole, err := h.read(user)
	if err != nil {
		return err
	}
	if len(lines) > 0 && lines[len(lines)-1] == line {
		return nil
	}
	if len(lines) >= 2*keptLines || !whole {
		lines = append(lines[max(0, len(lines)+1-keptLines):], line)
		text := fmt.Sprintf("%s%d\n%s\n", historyForm, historyVersion, strings.Join(lines, "\n"))
		return store.Replace(h.path(user), []byte(text))
	}
	f, err := os.OpenFile(h.path(user), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// lines is the newest keptLines lines of a user, the oldest first.
func (h *histories) lines(user string) []string {
	if !mayHaveHistory(user) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	lines, _, err := h.read(user)
	if err != nil {
		return nil
	}
	return lines[max(0, len(lines)-keptLines):]
}

// read returns all lines of a user's file. whole is false when the file is to be written anew: there
// is none, it does not say its form, or a crash tore the last line, which is left out.
func (h *histories) read(user string) (lines []string, whole bool, err error) {
	data, err := store.Read(h.path(user))
	if err != nil || len(data) == 0 {
		return nil, false, err
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	whole = end == len(data)
	lines = strings.Split(strings.TrimSuffix(string(data[:end]), "\n"), "\n")
	form, says := strings.CutPrefix(lines[0], historyForm)
	version, err := strconv.Atoi(form)
	if !says || err != nil {
		return lines, false, nil
	}
	return lines[1:], whole, store.CheckVersion(h.path(user), version, historyVersion)
}

// forget removes a user's lines.
func (h *histories) forget(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	os.Remove(h.path(user))
}

// mayHaveHistory keeps names that no account can have out of the file system.
func mayHaveHistory(user string) bool { return user == localRoot || access.PlainUserName(user) }

func (h *histories) path(user string) string { return filepath.Join(h.dir, user) }
