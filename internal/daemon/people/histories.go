package people

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

const (
	keptLines      = 500     // of a user's history
	maxHistoryLine = 4 << 10 // bytes
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
		return store.Replace(h.path(user), []byte(strings.Join(lines, "\n")+"\n"))
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

// read returns all lines of a user's file. whole is false when a crash tore the last one, which is
// left out.
func (h *histories) read(user string) (lines []string, whole bool, err error) {
	data, err := store.Read(h.path(user))
	if err != nil {
		return nil, false, err
	}
	for line := range bytes.Lines(data) {
		text, complete := strings.CutSuffix(string(line), "\n")
		if !complete {
			return lines, false, nil
		}
		lines = append(lines, text)
	}
	return lines, true, nil
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
