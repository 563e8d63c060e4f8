package people

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

const (
	// keptVisits is how many logins of the past are kept, beside the latest of each user.
	keptVisits = 5000
	// trustFor is how long after a login from a source that source is one of the user's own, and
	// trustedSources how many a user has of them.
	trustFor       = 90 * 24 * time.Hour
	trustedSources = 16
)

// A visitLine is one line of visits.jsonl: the beginning of a login, or its end.
type visitLine struct {
	Login string `json:"login"`
	access.Visit
}

// readVisitLine reads a line. Lines of builds before 0.1 have other names for the two times.
func readVisitLine(line []byte) (visitLine, error) {
	var read struct {
		visitLine
		FormerBegan *time.Time `json:"began"`
		FormerEnded *time.Time `json:"ended"`
	}
	if err := json.Unmarshal(line, &read); err != nil {
		return visitLine{}, err
	}
	if read.FormerBegan != nil {
		read.Began, read.Ended = *read.FormerBegan, read.FormerEnded
	}
	return read.visitLine, nil
}

// A visitLog keeps the logins of the past in memory and in a file that is appended to.
type visitLog struct {
	log *slog.Logger

	mu     sync.Mutex
	file   *store.Lines
	path   string
	lines  int         // in the file
	behind bool        // the file lacks something
	visits []visitLine // the oldest first
}

// openVisits reads the file. Logins that had no end when the appliance died end at lastSign, the
// latest moment at which it is known to have lived.
func openVisits(path string, lastSign time.Time, log *slog.Logger) (*visitLog, error) {
	data, err := store.Read(path)
	if err != nil {
		return nil, err
	}
	v := &visitLog{path: path, log: log}
	at := make(map[string]int)
	for line := range bytes.Lines(data) {
		l, err := readVisitLine(line)
		if err != nil || l.Login == "" {
			continue // A crash tore this line.
		}
		if i, known := at[l.Login]; known {
			v.visits[i] = l
		} else {
			at[l.Login] = len(v.visits)
			v.visits = append(v.visits, l)
		}
	}
	for i := range v.visits {
		if l := &v.visits[i]; l.Ended == nil {
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

// rewrite drops what is too old and replaces the file.
func (v *visitLog) rewrite() error {
	if extra := len(v.visits) - keptVisits; extra > 0 {
		latest := make(map[string]string)
		for _, l := range v.visits {
			latest[l.User] = l.Login
		}
		kept := slices.DeleteFunc(slices.Clone(v.visits[:extra]),
			func(l visitLine) bool { return latest[l.User] != l.Login })
		v.visits = append(kept, v.visits[extra:]...)
	}
	var b bytes.Buffer
	for _, l := range v.visits {
		line, err := json.Marshal(l)
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
	v.file, v.lines, v.behind = f, len(v.visits), false
	return nil
}

func (v *visitLog) begin(login string, visit access.Visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visits = append(v.visits, visitLine{login, visit})
	v.write(v.visits[len(v.visits)-1])
}

func (v *visitLog) end(login string, when time.Time, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.visits) - 1; i >= 0; i-- {
		if l := &v.visits[i]; l.Login == login {
			l.Ended, l.Reason = &when, reason
			v.write(*l)
			return
		}
	}
}

// write appends a line. A log that cannot be written stops no login; the appliance's own log says
// so.
func (v *visitLog) write(l visitLine) {
	line, err := json.Marshal(l)
	if err == nil && (v.behind || v.lines > 4*keptVisits) {
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

// last returns the latest login of a user.
func (v *visitLog) last(user string) (access.Visit, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.visits) - 1; i >= 0; i-- {
		if v.visits[i].User == user {
			return v.visits[i].Visit, true
		}
	}
	return access.Visit{}, false
}

// trusted reports whether the user has lately logged in from a source (a sourceKey), and not before
// the account was made.
func (v *visitLog) trusted(user, key string, created time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := make(map[string]bool)
	for i := len(v.visits) - 1; i >= 0 && len(seen) < trustedSources; i-- {
		l := v.visits[i]
		switch {
		case l.Began.Before(created) || time.Since(l.Began) > trustFor:
			return false
		case l.User == user:
			k := sourceKey(l.Source)
			if k == key {
				return true
			}
			seen[k] = true
		}
	}
	return false
}

// sources returns the addresses of the visits of the last trustFor, the latest first, at most most.
func (v *visitLog) sources(most int) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := make(map[string]bool)
	var list []string
	for _, l := range slices.Backward(v.visits) {
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

// list returns the newest visits, the newest first; all if newest is 0.
func (v *visitLog) list(newest int) []access.Visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	if newest <= 0 || newest > len(v.visits) {
		newest = len(v.visits)
	}
	list := make([]access.Visit, 0, newest)
	for i := len(v.visits) - 1; len(list) < newest; i-- {
		list = append(list, v.visits[i].Visit)
	}
	return list
}

func (v *visitLog) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.file.Close()
}
