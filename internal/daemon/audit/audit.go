// Package audit keeps the audit log: who did what, from where, and what became of it.
//
// The log is DIR/audit.jsonl and the older audit-NNNNNN.jsonl. Lines are appended and never edited.
// Each line has the SHA-256 of the line before it, so that a line that was changed or taken out
// shows. What was cut off at the end shows by what the appliance's own log said of the last line
// (Said).
//
// How much each user and source may write is bounded (budget.go), so that none can push others'
// lines out. An act does not fail when its line cannot be written, because it was done. The failure
// is logged, counted, recorded when the log can be written again, and told to administrators
// (Trouble).
package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

const (
	maxFileBytes = 16 << 20 // a file is closed when it is larger
	maxFiles     = 20       // so many closed files are kept
	// maxText bounds each text of an event: a client that is refused chooses some of them.
	maxText      = 2 << 10
	maxArguments = 100 // several times what any command has
)

// FileName is the file in the folder of the log that is written.
const FileName = "audit.jsonl"

// version is the form of the lines that are written. Lines of the builds before say none.
const version = 1

// A chained is one line of the log.
type chained struct {
	Version int `json:"version"`
	access.Event
	Previous string `json:"previous"` // SHA-256 of the line before it
}

// lineHash is what the next line says of this one, which comes without its newline.
func lineHash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// Options are what a Log is opened with.
type Options struct {
	Dir string // the folder of the log; made if it does not exist
	Log *slog.Logger
}

// A Log is the audit log. Its methods may be called from any goroutine.
type Log struct {
	budgets *budgets
	written store.Notifier // of lines

	dir       string
	log       *slog.Logger
	fileBytes int64
	files     int

	mu       sync.Mutex
	file     *store.Lines
	previous string // hash of the last line
	partial  bool   // the last line has no newline: the disk was full, or the machine died
	dirty    bool   // something is not on the disk yet
	failing  error  // why the last event is not in the log
	since    time.Time
	lost     int
	missing  int // of those that are lost, were since the last line
	oldest   int // the numbers of the closed files that there are, 0 if there are none
	newest   int
	changed  bool // another hand was in it, as far as this run has seen
	started  bool
	closed   bool
}

// Open opens the log and writes nothing yet. A log of which a newer build wrote the last line is
// refused.
func Open(o Options) (*Log, error) {
	a := &Log{dir: o.Dir, log: o.Log, fileBytes: maxFileBytes, files: maxFiles}
	a.budgets = newBudgets(a.write)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := a.setAside(); err != nil {
		return nil, err
	}
	// The chain continues from the last line, which is in an older file when the newest is empty.
	paths, err := a.paths()
	if err != nil {
		return nil, err
	}
	for _, path := range slices.Backward(paths) {
		last, whole, err := store.LastLine(path)
		if err != nil {
			return nil, err
		}
		if last != nil {
			var form chained
			if json.Unmarshal(last, &form) == nil {
				if err := store.CheckVersion(path, form.Version, version); err != nil {
					return nil, err
				}
			}
			a.previous, a.partial = lineHash(last), !whole && path == a.current()
			break
		}
	}
	if err := a.count(); err != nil {
		return nil, err
	}
	return a, a.openFile()
}

// Begin compares the log with what the appliance's own log said of it last, and records that the
// appliance started. Called once, before anything else is recorded.
func (a *Log) Begin(last Said) {
	if err := a.compare(last); err != nil {
		a.log.Error("the audit log cannot be compared with what was said of it", "error", err)
	}
	a.mu.Lock()
	a.started = true
	a.log.Info(beginsWith, "lastLine", a.previous, "oldestFile", a.oldest)
	a.mu.Unlock()
	a.System("", startedMessage, nil)
}

// Close writes what was counted and brings everything onto the disk. Further events are lost.
func (a *Log) Close(context.Context) error {
	if a.started {
		a.budgets.tell(0)
		a.System("", "The appliance stopped", nil)
	}
	a.sync()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.file
	a.file, a.closed = nil, true
	a.log.Info(endsWith, "lastLine", a.previous, "oldestFile", a.oldest)
	if f == nil {
		return nil
	}
	return f.Close()
}

// Sweep writes what is due of the lines that were left out, and brings the log onto the disk.
func (a *Log) Sweep(time.Time) {
	a.budgets.tell(leftOutEvery)
	a.sync()
}

// Record writes an event of a user who is logged in, as far as the user's budget goes. It
// implements api.Appliance.
func (a *Log) Record(e access.Event) { a.budgets.record(e) }

// Refused writes an event of a client that is not logged in, as far as the budget of all of them
// goes. account is the one that was wanted, empty if there is none of that name.
func (a *Log) Refused(account string, e access.Event) { a.budgets.refuse(account, e) }

// System records what the appliance did by itself. path is that of a command, or the name of what
// it is about; it may be empty.
func (a *Log) System(path, message string, arguments map[string]string) {
	a.SystemEvent(access.Event{Path: path, Message: message, Arguments: arguments})
}

// SystemFailed records what the appliance tried by itself and could not do.
func (a *Log) SystemFailed(path, message string) {
	a.SystemEvent(access.Event{Path: path, Message: message, Result: menu.Failed.String(), Exit: int(menu.Failed)})
}

// SystemEvent records an event of the appliance itself, and fills in its act, user, source and
// result.
func (a *Log) SystemEvent(e access.Event) {
	e.Act, e.User, e.Source = access.ActSystem, access.System, access.Local
	e.Result = cmp.Or(e.Result, "ok")
	a.write(e)
}

// AuditTrouble returns a sentence about events that could not be written since the start, or about
// another hand in the log; empty if all is well.
func (a *Log) AuditTrouble() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost == 0 && a.changed {
		return "The audit log was changed by another hand; auditverify says where."
	}
	if a.lost == 0 {
		return ""
	}
	when := a.since.Format("2 January 15:04:05")
	if a.failing == nil {
		return fmt.Sprintf("The audit log lacks %d lines since %s; they are in the journal, or where else the appliance's log goes.", a.lost, when)
	}
	return fmt.Sprintf("The audit log cannot be written since %s, and lacks %d lines. Is the disk full?", when, a.lost)
}

// Notice returns AuditTrouble for an administrator, who can mend it.
func (a *Log) Notice(caller menu.Caller) string {
	if caller.Role != menu.Administrator {
		return ""
	}
	return a.AuditTrouble()
}

func (a *Log) current() string { return filepath.Join(a.dir, FileName) }

func (a *Log) openFile() error {
	if err := a.setAside(); err != nil {
		return err
	}
	f, err := store.OpenLines(a.current())
	if err != nil {
		return err
	}
	a.file = f
	return store.SyncDirectory(a.dir)
}

// setAside renames what is in the place of the current file and is no regular file. Lines written
// through a symbolic link would be wherever it points, /dev/null included. A named pipe would block
// all writers until another process reads it.
func (a *Log) setAside() error {
	there, err := os.Lstat(a.current())
	if errors.Is(err, fs.ErrNotExist) || err == nil && there.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	aside := fmt.Sprintf("%s.aside-%d", a.current(), time.Now().UnixNano())
	a.log.Error("what is in the place of the audit log is no file, and was set aside", "kind",
		there.Mode().Type().String(), "name", filepath.Base(aside))
	return os.Rename(a.current(), aside)
}

// closedFile returns the path of a closed file. They are numbered in the order in which they were
// closed.
func (a *Log) closedFile(number int) string {
	return filepath.Join(a.dir, fmt.Sprintf("audit-%06d.jsonl", number))
}

// closedNumbers lists the closed files, the oldest first. A folder or link of such a name counts as
// missing.
func (a *Log) closedNumbers() ([]int, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		middle, begins := strings.CutPrefix(e.Name(), "audit-")
		middle, ends := strings.CutSuffix(middle, ".jsonl")
		if n, err := strconv.Atoi(middle); begins && ends && err == nil && n > 0 && e.Type().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// paths lists all files of the log that exist, the oldest first.
func (a *Log) paths() ([]string, error) {
	numbers, err := a.closedNumbers()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, n := range numbers {
		paths = append(paths, a.closedFile(n))
	}
	if info, err := os.Lstat(a.current()); err == nil {
		if info.Mode().IsRegular() {
			paths = append(paths, a.current())
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return paths, nil
}

// write appends an event. A failure is logged and counted.
func (a *Log) write(e access.Event) {
	bound(&e)
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	err := a.repair()
	if err == nil {
		err = a.noteGap()
	}
	if err == nil {
		err = a.append(e)
	}
	if err != nil {
		if a.failing == nil {
			a.since = time.Now()
		}
		a.failing = err
		a.lost++
		a.missing++
		a.log.Error("the audit log cannot be written", "error", err, "act", e.Act, "user", e.User, "source", e.Source,
			"path", e.Path, "result", e.Result)
		return
	}
	a.failing = nil
	a.written.Notify()
}

// noteGap records how many events were lost before the next event is written. Called with mu held.
func (a *Log) noteGap() error {
	if a.missing == 0 {
		return nil
	}
	err := a.append(access.Event{Time: time.Now(), Act: access.ActSystem, User: access.System, Source: access.Local,
		Result: "failed",
		Message: fmt.Sprintf("%d lines are missing here, since %s: the audit log could not be written", a.missing,
			a.since.UTC().Format(time.RFC3339))})
	if err == nil {
		a.missing = 0
	}
	return err
}

func (a *Log) append(e access.Event) error {
	if a.closed {
		return errors.New("the audit log is closed")
	}
	if a.file == nil { // a new file could not be made
		if err := a.openFile(); err != nil {
			return err
		}
	}
	if a.file.Size() >= a.fileBytes {
		if err := a.rotate(); err != nil {
			return err
		}
	}
	line, err := json.Marshal(chained{version, e, a.previous})
	if err != nil {
		return err
	}
	data := append(slices.Clone(line), '\n')
	if a.partial {
		data = append([]byte{'\n'}, data...)
	}
	a.dirty = true
	if partial, err := a.file.Append(data); err != nil {
		a.notePartial(data[:partial])
		return err
	}
	a.previous, a.partial = lineHash(line), false
	return nil
}

// notePartial notes that only a part of a line reached the file: the next line has to begin after
// it.
func (a *Log) notePartial(part []byte) {
	if a.partial {
		if len(part) == 0 {
			return
		}
		part, a.partial = part[1:], false // its newline ended the part before
	}
	if len(part) > 0 {
		a.previous, a.partial = lineHash(part), true
	}
}

// rotate closes the file and begins the next one.
func (a *Log) rotate() error {
	numbers, err := a.closedNumbers()
	if err != nil {
		return err
	}
	next := a.newest + 1 // a number is given once, also if its file was removed
	if err := a.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(a.current(), a.closedFile(next)); err != nil {
		return err
	}
	a.file.Close()
	a.file, a.partial = nil, false
	if err := a.openFile(); err != nil {
		return err
	}
	for _, old := range numbers[:max(0, len(numbers)+1-a.files)] {
		if err := os.Remove(a.closedFile(old)); err != nil {
			a.log.Error("an old file of the audit log cannot be removed", "error", err)
		}
	}
	if a.newest = next; a.oldest == 0 {
		a.oldest = next
	}
	a.oldest = max(a.oldest, next-a.files+1)
	return nil
}

// sync brings what was written onto the disk, and looks whether the file is still there.
func (a *Log) sync() {
	a.mu.Lock()
	if err := a.repair(); err != nil {
		a.log.Error("the audit log cannot be opened", "error", err)
	}
	f, dirty := a.file, a.dirty
	a.dirty = false
	a.mu.Unlock()
	if !dirty || f == nil {
		return
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		a.log.Error("the audit log cannot be brought onto the disk", "error", err)
	}
}

// bound cuts the texts of an event so that a line has a bounded size.
func bound(e *access.Event) {
	for _, s := range []*string{&e.User, &e.Source, &e.Session, &e.Client, &e.Path, &e.Result, &e.Message} {
		*s = boundText(*s)
	}
	if e.Arguments != nil {
		arguments := make(map[string]string, len(e.Arguments))
		for name, text := range e.Arguments {
			if len(arguments) == maxArguments {
				break
			}
			arguments[boundText(name)] = boundText(text)
		}
		e.Arguments = arguments
	}
}

// boundText returns a text as a line may have it: bounded, and of valid UTF-8.
func boundText(text string) string {
	return strings.ToValidUTF8(menu.Bounded(text, maxText), "\uFFFD")
}
