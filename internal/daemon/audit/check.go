package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

// What another hand did to the audit log shows by three things: the chain of hashes in it (VerifyAudit), what this appliance remembers
// of the file that it writes, and what its own log says of the last line at each start and end. Whoever may write all of the data
// directory can make all three agree; only a copy elsewhere is an answer to that.

// resultChanged is the result of the lines that say that the log was changed, and startedMessage what the first line of each run says.
const (
	resultChanged  = "changed"
	startedMessage = "The appliance started"
)

// What the appliance's own log says of the audit log, with the hash of its last line as lastLine.
const (
	auditGoesOn = "the audit log goes on"
	auditEnds   = "the audit log ends"
)

// fault says what is wrong with the file that is written; empty if it is as it was left. Called with mu held.
func (a *auditLog) fault() string {
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

// repair has the log itself say what is wrong with its file, if anything is, and goes on in the file that is in its place. The chain
// goes on from the last line that was written, so that what is missing shows for good. Called with mu held.
func (a *auditLog) repair() error {
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
	a.torn = a.file.Size() > 0 && !whole
	return a.accuse(fault)
}

// accuse writes that the log was changed, and has every administrator told who logs in. Called with mu held.
func (a *auditLog) accuse(fault string) error {
	a.log.Error("the audit log was changed by another hand", "fault", fault, "lastLine", a.previous)
	a.changed = true
	return a.append(access.Event{Time: time.Now(), Act: access.ActSystem, User: access.System, Source: access.Local, Result: resultChanged,
		Message: "The audit log was changed by another hand: " + fault})
}

// count notes which closed files there are. Called with mu held, or by who opens the log.
func (a *auditLog) count() error {
	numbers, err := a.closedNumbers()
	if len(numbers) > 0 {
		a.oldest, a.newest = numbers[0], numbers[len(numbers)-1]
	}
	return err
}

// gaps says which of the closed files are missing. Called with mu held.
func (a *auditLog) gaps() (faults []string, err error) {
	numbers, err := a.closedNumbers()
	if err != nil || a.newest == 0 {
		return nil, err
	}
	missing := func(from, to int) {
		if from == to {
			faults = append(faults, filepath.Base(a.closedFile(from))+" is missing")
		} else if from < to {
			faults = append(faults, fmt.Sprintf("%s to %s are missing", filepath.Base(a.closedFile(from)), filepath.Base(a.closedFile(to))))
		}
	}
	before := a.oldest - 1
	for _, n := range append(numbers, a.newest+1) {
		missing(before+1, n-1)
		before = max(before, n)
	}
	return faults, nil
}

// follows says what is wrong with the log as this start found it, by what the appliance's own log said last of it. The last line of then is
// still there, and behind it there is nothing or the start of another run.
func (a *auditLog) follows(said lastSaid) (fault string, err error) {
	if a.oldest > said.oldest && said.oldest > 0 && said.ended {
		return fmt.Sprintf("files before %s are missing", filepath.Base(a.closedFile(a.oldest))), nil
	}
	hash := said.hash
	if hash == "" || hash == a.previous {
		return "", nil
	}
	paths, err := a.paths()
	if err != nil {
		return "", err
	}
	next := []byte(nil) // the line behind, which may be in the next file
	for _, path := range slices.Backward(paths) {
		found, behind, first, err := findLine(path, hash)
		if err != nil {
			return "", err
		}
		if behind == nil {
			behind = next
		}
		if found {
			var e access.Event
			if behind != nil && json.Unmarshal(behind, &e) == nil && (e.Act != access.ActSystem || e.Message != startedMessage) {
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

// findLine looks in a file for the line of a hash, and returns the line behind it, and the file's first line.
func findLine(path, hash string) (found bool, behind, first []byte, err error) {
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

// A lastSaid is what the appliance's own log said last of the audit log.
type lastSaid struct {
	hash   string // of its last line
	oldest int    // the number of its oldest closed file, 0 if there was none
	ended  bool   // the appliance ended then, as against began
}

func (l *applianceLog) saidOfAudit() (last lastSaid, err error) {
	paths, err := l.paths()
	if err != nil {
		return last, err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return last, err
		}
		for lines := store.NewLineReader(f); ; {
			line, _, err := lines.Next()
			if err != nil || line == nil {
				f.Close()
				if err != nil && !errors.Is(err, io.EOF) {
					return last, err
				}
				break
			}
			if said, ok := parseLogLine(line); ok && (said.Message == auditGoesOn || said.Message == auditEnds) {
				last = lastSaid{hash: said.Attributes["lastLine"], ended: said.Message == auditEnds}
				last.oldest, _ = strconv.Atoi(said.Attributes["oldestFile"]) // older versions said nothing of it
			}
		}
	}
	return last, nil
}

// checkAudit compares the audit log with what the appliance's own log said of it last, and has the one say it if they differ.
func (d *Daemon) checkAudit() error {
	said, err := d.kept.saidOfAudit()
	if err != nil {
		return err
	}
	a := d.audit
	a.mu.Lock()
	defer a.mu.Unlock()
	fault, err := a.follows(said)
	if err == nil && fault != "" {
		err = a.accuse(fault)
	}
	if err == nil {
		err = a.file.Sync() // before the other log says which line is the last
	}
	return err
}
