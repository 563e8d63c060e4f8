package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

// What another hand did to the log shows by three things: the chain of hashes in it (VerifyAudit),
// what this process remembers of the file that it writes, and what the appliance's own log says of
// the last line at each start and end (Said). An attacker who may write all of the data directory
// can make all three agree; only a copy elsewhere is an answer to that.

// resultChanged is the result of the lines that say that the log was changed, and startedMessage
// what the first line of each run says.
const (
	resultChanged  = "changed"
	startedMessage = "The appliance started"
)

// Messages of the appliance's own log about this one. Former builds wrote the same words.
const (
	beginsWith = "the audit log goes on"
	endsWith   = "the audit log ends"
)

// fault returns what is wrong with the file that is written; empty if it is as it was left. Called
// with mu held.
func (a *Log) fault() string {
	if a.file == nil {
		return ""
	}
	name := filepath.Base(a.current())
	ours, err := a.file.Stat()
	if err != nil || !ours.Mode().IsRegular() {
		return ""
	}
	there, err := os.Lstat(a.current())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name + " was taken away"
	case err != nil:
		return ""
	case !there.Mode().IsRegular():
		return "what is in the place of " + name + " is no file"
	case !os.SameFile(there, ours):
		return "another file was put in the place of " + name
	case ours.Size() != a.file.Size():
		return fmt.Sprintf("%s has %d bytes, and %d were written", name, ours.Size(), a.file.Size())
	}
	return ""
}

// repair records what is wrong with the file, if anything is, in the file that is in its place. The
// chain continues from the last line that was written, so that what is missing shows for good.
// Called with mu held.
func (a *Log) repair() error {
	fault := a.fault()
	if fault == "" {
		return nil
	}
	a.file.Close()
	a.file = nil
	if err := a.openFile(); err != nil {
		return err
	}
	_, whole, err := store.LastLine(a.current())
	if err != nil {
		return err
	}
	a.partial = a.file.Size() > 0 && !whole
	return a.accuse(fault)
}

// accuse records that the log was changed; AuditTrouble tells it from then on. Called with mu held.
func (a *Log) accuse(fault string) error {
	a.log.Error("the audit log was changed by another hand", "fault", fault, "lastLine", a.previous)
	a.changed = true
	return a.append(access.Event{Time: time.Now(), Act: access.ActSystem, User: access.System, Source: access.Local,
		Result:  resultChanged,
		Message: "The audit log was changed by another hand: " + fault})
}

// count notes which closed files there are. Called with mu held, or by Open.
func (a *Log) count() error {
	numbers, err := a.closedNumbers()
	if len(numbers) > 0 {
		a.oldest, a.newest = numbers[0], numbers[len(numbers)-1]
	}
	return err
}

// gaps returns which of the closed files are missing. Called with mu held.
func (a *Log) gaps() (faults []string, err error) {
	numbers, err := a.closedNumbers()
	if err != nil || a.newest == 0 {
		return nil, err
	}
	missing := func(from, to int) {
		if from == to {
			faults = append(faults, filepath.Base(a.closedFile(from))+" is missing")
		} else if from < to {
			faults = append(faults, fmt.Sprintf("%s to %s are missing", filepath.Base(a.closedFile(from)),
				filepath.Base(a.closedFile(to))))
		}
	}
	before := a.oldest - 1
	for _, n := range append(numbers, a.newest+1) {
		missing(before+1, n-1)
		before = max(before, n)
	}
	return faults, nil
}

// follows returns what is wrong with the log as this start found it, by what was said of it last;
// empty if it is right. The last line of then must be there, with nothing or the start of a run
// after it.
func (a *Log) follows(said Said) (fault string, err error) {
	if a.oldest > said.oldest && said.oldest > 0 && said.ended {
		return fmt.Sprintf("files before %s are missing", filepath.Base(a.closedFile(a.oldest))), nil
	}
	hash := said.last
	if hash == "" || hash == a.previous {
		return "", nil
	}
	paths, err := a.paths()
	if err != nil {
		return "", err
	}
	next := []byte(nil) // the line after, which may be in the next file
	for _, path := range slices.Backward(paths) {
		found, after, first, err := findLine(path, hash)
		if err != nil {
			return "", err
		}
		if after == nil {
			after = next
		}
		if found {
			var e access.Event
			if after != nil && json.Unmarshal(after, &e) == nil &&
				(e.Act != access.ActSystem || e.Message != startedMessage) {
				return "lines were added while the appliance did not run", nil
			}
			return "", nil
		}
		if first != nil {
			next = first
		}
	}
	if !said.ended && a.oldest > 1 {
		return "", nil // the line may have gone with an old file meanwhile
	}
	return "the last line that the appliance knows of is not in it", nil
}

// findLine looks in a file for the line with the hash. It returns the line after it, and the first
// line of the file.
func findLine(path, hash string) (found bool, after, first []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, nil, nil, err
	}
	defer f.Close()
	for lines := store.NewLineReader(f); ; {
		line, _, err := lines.Next()
		switch {
		case err != nil || line == nil:
			return found, nil, first, err
		case found:
			return true, slices.Clone(line), first, nil
		case first == nil:
			first = slices.Clone(line)
		}
		found = lineHash(line) == hash
	}
}

// Said is what the appliance's own log said last of the audit log. Its zero value is a log that
// says nothing of it.
type Said struct {
	last   string // hash of the last line
	oldest int    // the number of the oldest closed file, 0 if there was none
	ended  bool   // said at the end of a run, not at the start of one
}

// Observe takes the next line of the appliance's own log.
func (s *Said) Observe(l access.LogLine) {
	if l.Message != beginsWith && l.Message != endsWith {
		return
	}
	*s = Said{last: l.Attributes["lastLine"], ended: l.Message == endsWith}
	s.oldest, _ = strconv.Atoi(l.Attributes["oldestFile"]) // older builds did not say it
}

// compare has the log itself say so if it differs from what was said of it last.
func (a *Log) compare(last Said) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	fault, err := a.follows(last)
	if err == nil && fault != "" {
		err = a.accuse(fault)
	}
	if err == nil {
		err = a.file.Sync() // before the appliance's own log says which line is the last
	}
	return err
}
