package daemon

import (
	"cmp"
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
	auditFileBytes = 16 << 20 // a file of the audit log is closed when it is larger
	auditFiles     = 20       // so many closed files are kept
	// maxAuditText bounds each text of an event: whoever is refused chooses some of them.
	maxAuditText = 2 << 10
)

// An auditLine is one line of the audit log. Previous is the SHA-256 of the line before it, so that a line that was changed or
// taken out shows. What it cannot show is that the newest lines were cut off; the appliance's own log has the hash of the last
// line of each run for that (checkAudit).
type auditLine struct {
	access.Event
	Previous string `json:"previous"`
}

// lineHash is what the next line says of this one, which comes without its newline.
func lineHash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// An auditLog appends events to DIR/audit/audit.jsonl.
type auditLog struct {
	written store.Notifier // of lines

	dir       string
	log       *slog.Logger
	fileBytes int64
	files     int

	mu       sync.Mutex
	file     *store.Lines
	previous string // hash of the last line
	torn     bool   // the last line has no newline: the disk was full, or the machine died
	dirty    bool   // something is not on the disk yet
	failing  error  // why the last event is not in the log
	since    time.Time
	lost     int
	missing  int // of those that are lost, were since the last line
	oldest   int // the numbers of the closed files that there are, 0 if there are none
	newest   int
	changed  bool // another hand was in it, as far as this run has seen
	closed   bool // for good
}

func openAudit(dir string, log *slog.Logger) (*auditLog, error) {
	a := &auditLog{dir: dir, log: log, fileBytes: auditFileBytes, files: auditFiles}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := a.setAside(); err != nil {
		return nil, err
	}
	// The chain goes on from the last line that there is, which is in an older file when the newest is empty.
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
			a.previous, a.torn = lineHash(last), !whole && path == a.current()
			break
		}
	}
	if err := a.count(); err != nil {
		return nil, err
	}
	return a, a.openFile()
}

func (a *auditLog) current() string { return filepath.Join(a.dir, "audit.jsonl") }

func (a *auditLog) openFile() error {
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

// setAside renames what stands in the place of the current file and is none. Lines written through a symbolic link would be wherever it
// points, /dev/null included, and a named pipe would stop everybody until somebody reads it.
func (a *auditLog) setAside() error {
	there, err := os.Lstat(a.current())
	if errors.Is(err, fs.ErrNotExist) || err == nil && there.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	aside := fmt.Sprintf("%s.aside-%d", a.current(), time.Now().UnixNano())
	a.log.Error("what is in the place of the audit log is no file, and was set aside", "kind", there.Mode().Type().String(), "name", filepath.Base(aside))
	return os.Rename(a.current(), aside)
}

// closedFile makes the name of a closed file; they are numbered in the order in which they were closed.
func (a *auditLog) closedFile(number int) string {
	return filepath.Join(a.dir, fmt.Sprintf("audit-%06d.jsonl", number))
}

// closedNumbers lists the closed files, the oldest first. What has such a name and is no file counts as missing.
func (a *auditLog) closedNumbers() ([]int, error) {
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
func (a *auditLog) paths() ([]string, error) {
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

// write appends an event. A failure does not reach whoever acts, because what was done was done; it is logged, counted and told
// to every administrator that logs in.
func (a *auditLog) write(e access.Event) {
	bound(&e)
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	err := a.repair()
	if err == nil {
		err = a.confess()
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
		a.log.Error("the audit log cannot be written", "error", err, "act", e.Act, "user", e.User, "source", e.Source, "path", e.Path, "result", e.Result)
		return
	}
	a.failing = nil
	a.written.Notify()
}

// confess has the log itself say that lines are missing, before the first one behind them.
func (a *auditLog) confess() error {
	if a.missing == 0 {
		return nil
	}
	err := a.append(access.Event{Time: time.Now(), Act: access.ActSystem, User: access.System, Source: access.Local, Result: "failed",
		Message: fmt.Sprintf("%d lines are missing here, since %s: the audit log could not be written", a.missing, a.since.UTC().Format(time.RFC3339))})
	if err == nil {
		a.missing = 0
	}
	return err
}

func (a *auditLog) append(e access.Event) error {
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
	line, err := json.Marshal(auditLine{e, a.previous})
	if err != nil {
		return err
	}
	data := append(slices.Clone(line), '\n')
	if a.torn {
		data = append([]byte{'\n'}, data...)
	}
	a.dirty = true
	if partial, err := a.file.Append(data); err != nil {
		a.tear(data[:partial])
		return err
	}
	a.previous, a.torn = lineHash(line), false
	return nil
}

// tear notes that only a part of a line reached the file: the rest of the log has to begin behind it.
func (a *auditLog) tear(part []byte) {
	if a.torn {
		if len(part) == 0 {
			return
		}
		part, a.torn = part[1:], false // its newline ended the line that was torn before
	}
	if len(part) > 0 {
		a.previous, a.torn = lineHash(part), true
	}
}

// rotate closes the file and begins the next one.
func (a *auditLog) rotate() error {
	numbers, err := a.closedNumbers()
	if err != nil {
		return err
	}
	next := a.newest + 1 // a number is given once, whatever somebody has taken out
	if err := a.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(a.current(), a.closedFile(next)); err != nil {
		return err
	}
	a.file.Close()
	a.file, a.torn = nil, false
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
func (a *auditLog) sync() {
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

// trouble is a sentence about events that could not be written, for people; empty if there is none.
func (a *auditLog) trouble() string {
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

// close brings everything onto the disk. It returns the hash of the last line.
func (a *auditLog) close() (string, error) {
	a.sync()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.file
	a.file, a.closed = nil, true
	if f == nil {
		return a.previous, nil
	}
	return a.previous, f.Close()
}

// bound cuts the texts of an event to a size that a line can have.
func bound(e *access.Event) {
	for _, s := range []*string{&e.User, &e.Source, &e.Session, &e.Path, &e.Result, &e.Message} {
		*s = auditText(*s)
	}
	if e.Arguments != nil {
		arguments := make(map[string]string, len(e.Arguments))
		for name, text := range e.Arguments {
			if len(arguments) == maxAuditArguments {
				break
			}
			arguments[auditText(name)] = auditText(text)
		}
		e.Arguments = arguments
	}
}

const maxAuditArguments = 100 // several times what any command has

// auditText returns a text as a line of the log may have it: bounded, and of valid UTF-8.
func auditText(text string) string {
	return strings.ToValidUTF8(menu.Bounded(text, maxAuditText), "\uFFFD")
}

// Record implements api.Appliance.
func (d *Daemon) Record(e access.Event) { d.budgets.record(e) }

// system records something that the appliance did by itself. The path is that of a command, or the name of what it is about.
func (d *Daemon) system(path, message string, arguments map[string]string) {
	d.systemEvent(access.Event{Path: path, Message: message, Arguments: arguments})
}

// systemFailed records something that the appliance tried by itself, and could not do.
func (d *Daemon) systemFailed(path, message string) {
	d.systemEvent(access.Event{Path: path, Message: message, Result: menu.Failed.String(), Exit: int(menu.Failed)})
}

// systemEvent records an event of the appliance itself, and fills in whose it is.
func (d *Daemon) systemEvent(e access.Event) {
	e.Act, e.User, e.Source = access.ActSystem, access.System, access.Local
	e.Result = cmp.Or(e.Result, "ok")
	d.audit.write(e)
}

// AuditTrouble says in a sentence that events could not be written to the audit log since the start; empty if all are in it.
func (d *Daemon) AuditTrouble() string { return d.audit.trouble() }

// Trouble says in full sentences what an administrator should mend; empty if nothing.
func (d *Daemon) Trouble() string {
	sentences := d.config.ignored
	if s := d.AuditTrouble(); s != "" {
		sentences = append([]string{s}, sentences...)
	}
	return strings.Join(sentences, " ")
}
