// Package loginlog keeps who has logged in, when and from where: in memory, and in a file.
package loginlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

const (
	// Kept is how many logins of the past are kept, beside the latest of each user.
	Kept = 5000
	// trustFor is how long after a login from a source that source is one of the user's own, and
	// trustedSources how many a user has of them.
	trustFor       = 90 * 24 * time.Hour
	trustedSources = 16
)

// loginVersion is the form of the lines that are written. Lines of the builds before say none.
const loginVersion = 1

// A loginLine is one line of visits.jsonl: the beginning of a login, or its end.
type loginLine struct {
	Version int    `json:"version"`
	Login   string `json:"login"`
	access.PastLogin
}

// readLoginLine reads a line. Lines of builds before 0.1 have other names for the two times.
func readLoginLine(line []byte) (loginLine, error) {
	var read struct {
		loginLine
		FormerBegan *time.Time `json:"began"`
		FormerEnded *time.Time `json:"ended"`
	}
	if err := json.Unmarshal(line, &read); err != nil {
		return loginLine{}, err
	}
	if read.FormerBegan != nil {
		read.Began, read.Ended = *read.FormerBegan, read.FormerEnded
	}
	return read.loginLine, nil
}

// encode returns the line in the form of this build, without a newline.
func (l loginLine) encode() ([]byte, error) {
	l.Version = loginVersion
	return json.Marshal(l)
}

// A Log keeps the logins of the past in memory and in a file that is appended to.
type Log struct {
	log *slog.Logger

	mu     sync.Mutex
	file   *store.Lines
	path   string
	lines  int         // in the file
	behind bool        // the file lacks something
	logins []loginLine // the oldest first
}

// Open reads the file, and drops the line that a crash tore. A file with other damaged lines it keeps
// under another name, of which it tells setAside, and goes on with the rest; with nil it fails. Logins
// that had no end when the appliance died end at lastSign, the latest moment at which it is known to
// have lived.
func Open(path string, lastSign time.Time, setAside func(store.Damage), log *slog.Logger) (*Log, error) {
	data, err := store.Read(path)
	if err != nil {
		return nil, err
	}
	v := &Log{path: path, log: log}
	damage, err := v.read(data)
	if err == nil && damage != nil {
		err = store.KeepAside(path, damage, setAside)
	}
	if err != nil {
		return nil, err
	}
	for i := range v.logins {
		if l := &v.logins[i]; l.Ended == nil {
			end := lastSign
			if end.Before(l.Began) {
				end = l.Began
			}
			l.Ended, l.Reason = &end, "appliance stopped"
		}
	}
	if err := v.rewrite(); err != nil {
		// A full disk is no reason not to start. What is missing in the file is there with the
		// first line that finds room.
		log.Error("the log of logins cannot be written", "error", err)
		v.behind = true
		v.file, err = store.OpenLines(path)
		return v, err
	}
	return v, nil
}

// read reads the lines of the file. damage says which whole line is none of this log, and is nil if all
// are.
func (v *Log) read(data []byte) (damage, err error) {
	at, number := make(map[string]int), 0
	for line := range bytes.Lines(data) {
		number++
		l, err := readLoginLine(line)
		if err == nil && l.Login == "" {
			err = errors.New("it names no login")
		}
		if err != nil {
			if damage == nil && bytes.HasSuffix(line, []byte("\n")) { // else a crash tore it
				damage = fmt.Errorf("line %d: %w", number, err)
			}
			continue
		}
		if err := store.CheckVersion(v.path, l.Version, loginVersion); err != nil {
			return nil, err
		}
		if i, known := at[l.Login]; known {
			v.logins[i] = l
		} else {
			at[l.Login] = len(v.logins)
			v.logins = append(v.logins, l)
		}
	}
	return damage, nil
}

// rewrite drops what is too old and replaces the file.
func (v *Log) rewrite() error {
	if extra := len(v.logins) - Kept; extra > 0 {
		latest := make(map[string]string)
		for _, l := range v.logins {
			latest[l.User] = l.Login
		}
		kept := slices.DeleteFunc(slices.Clone(v.logins[:extra]),
			func(l loginLine) bool { return latest[l.User] != l.Login })
		v.logins = append(kept, v.logins[extra:]...)
	}
	var b bytes.Buffer
	for _, l := range v.logins {
		line, err := l.encode()
		if err != nil {
			return err
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	if err := store.Replace(v.path, b.Bytes()); err != nil {
		return err
	}
	f, err := store.OpenLines(v.path)
	if err != nil {
		return err
	}
	if v.file != nil {
		v.file.Close()
	}
	v.file, v.lines, v.behind = f, len(v.logins), false
	return nil
}

// Begin notes the beginning of a login.
func (v *Log) Begin(login string, past access.PastLogin) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.logins = append(v.logins, loginLine{Login: login, PastLogin: past})
	v.write(v.logins[len(v.logins)-1])
}

// End notes the end of a login.
func (v *Log) End(login string, when time.Time, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.logins) - 1; i >= 0; i-- {
		if l := &v.logins[i]; l.Login == login {
			l.Ended, l.Reason = &when, reason
			v.write(*l)
			return
		}
	}
}

// write appends a line. A log that cannot be written stops no login; the appliance's own log says
// so.
func (v *Log) write(l loginLine) {
	line, err := l.encode()
	if err == nil && (v.behind || v.lines > 4*Kept) {
		err = v.rewrite() // with this one
	} else if err == nil {
		_, err = v.file.Append(append(line, '\n'))
		v.lines++
	}
	if err != nil {
		v.behind = true
		v.log.Error("the log of logins cannot be written", "error", err)
	}
}

// Last returns the latest login of a user.
func (v *Log) Last(user string) (access.PastLogin, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.logins) - 1; i >= 0; i-- {
		if v.logins[i].User == user {
			return v.logins[i].PastLogin, true
		}
	}
	return access.PastLogin{}, false
}

// Trusted reports whether the user has lately logged in from a source (a SourceKey), and not before
// the account was made.
func (v *Log) Trusted(user, key string, created time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := make(map[string]bool)
	for i := len(v.logins) - 1; i >= 0 && len(seen) < trustedSources; i-- {
		l := v.logins[i]
		switch {
		case l.Began.Before(created) || time.Since(l.Began) > trustFor:
			return false
		case l.User == user:
			k := SourceKey(l.Source)
			if k == key {
				return true
			}
			seen[k] = true
		}
	}
	return false
}

// Sources returns the addresses of the logins of the last trustFor, the latest first, at most most.
func (v *Log) Sources(most int) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := make(map[string]bool)
	var list []string
	for _, l := range slices.Backward(v.logins) {
		if len(list) == most || time.Since(l.Began) > trustFor {
			break
		}
		if l.Source != access.Local && !seen[l.Source] {
			seen[l.Source] = true
			list = append(list, l.Source)
		}
	}
	return list
}

// List returns the newest logins, the newest first; all if newest is 0.
func (v *Log) List(newest int) []access.PastLogin {
	v.mu.Lock()
	defer v.mu.Unlock()
	if newest <= 0 || newest > len(v.logins) {
		newest = len(v.logins)
	}
	list := make([]access.PastLogin, 0, newest)
	for i := len(v.logins) - 1; len(list) < newest; i-- {
		list = append(list, v.logins[i].PastLogin)
	}
	return list
}

// Close closes the file.
func (v *Log) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.file.Close()
}
