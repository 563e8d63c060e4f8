package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// keptLogBytes is how large the appliance's log gets before another file is begun; the one before
// it is kept.
const keptLogBytes = 4 << 20

// An applianceLog keeps the appliance's own log, beside where it goes otherwise, so that it can be
// read from the menus and put into a report. It is the writer below a handler of slog, which writes
// a line at a time.
type applianceLog struct {
	path    string
	changed store.Notifier

	mu    sync.Mutex
	lines *store.Lines // nil: closed
	lost  int          // lines, since the last one that is there
}

func openApplianceLog(dir string) (*applianceLog, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &applianceLog{path: filepath.Join(dir, "appliance.jsonl")}
	var err error
	l.lines, err = store.OpenLines(l.path)
	return l, err
}

// older returns the path of the file before the present one.
func (l *applianceLog) older() string { return l.path + ".1" }

// paths lists the files that exist, the oldest first.
func (l *applianceLog) paths() (list []string, err error) {
	for _, path := range []string{l.older(), l.path} {
		switch _, err := os.Stat(path); {
		case err == nil:
			list = append(list, path)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return list, nil
}

// Write implements io.Writer.
func (l *applianceLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		return 0, os.ErrClosed
	}
	if size := l.lines.Size(); size > 0 && size+int64(len(line)) > keptLogBytes {
		l.lines.Rotate(l.older()) // if it fails, the file grows until it does not
	}
	data := line
	if l.lost > 0 {
		note := fmt.Sprintf(`{"time":%q,"level":"ERROR","msg":"lines are missing here: the disk did not take them","lines":%d}`,
			time.Now().Format(time.RFC3339Nano), l.lost)
		data = append([]byte(note+"\n"), line...)
	}
	if _, err := l.lines.Append(data); err != nil {
		l.lost++
		return 0, err
	}
	l.lost = 0
	l.changed.Notify()
	return len(line), nil
}

func (l *applianceLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines.Close()
}

// keepLog makes the appliance's log go into the data directory too.
func (d *Daemon) keepLog(dir string) (err error) {
	if d.kept, err = openApplianceLog(dir); err != nil {
		return err
	}
	d.log = slog.New(slog.NewMultiHandler(d.log.Handler(), slog.NewJSONHandler(d.kept, nil)))
	return nil
}

// Logger is the appliance's log, for the parts around it.
func (d *Daemon) Logger() *slog.Logger { return d.log }

// TailLog yields the newest lines of a log, and with follow those that are written from then on,
// until ctx ends.
func (d *Daemon) TailLog(ctx context.Context, log string, count int, follow bool,
	yield func(access.LogLine) error) error {
	if log == access.AuditLog {
		return d.Follow(ctx, count, follow, func(e access.Event) error {
			return yield(access.LogLine{Log: log, Time: e.Time, Event: &e})
		})
	}
	var refused error // of yield: not an error of reading
	t := store.Tail{Paths: d.kept.paths, Changed: &d.kept.changed, Yield: func(line []byte) error {
		l, ok := parseLogLine(line)
		if !ok {
			return nil
		}
		refused = yield(l)
		return refused
	}}
	if err := t.Run(ctx, count, follow); refused == nil {
		return menu.Failing("read the log", err)
	}
	return refused
}

// parseLogLine reads what slog.JSONHandler writes.
func parseLogLine(line []byte) (access.LogLine, bool) {
	var members map[string]any
	if json.Unmarshal(line, &members) != nil {
		return access.LogLine{}, false
	}
	l := access.LogLine{Log: access.ApplianceLog}
	for name, value := range members {
		text, isText := value.(string)
		if !isText {
			encoded, _ := json.Marshal(value) // it was decoded a moment ago
			text = string(encoded)
		}
		switch name {
		case "time":
			l.Time, _ = time.Parse(time.RFC3339Nano, text)
		case "level":
			l.Level = text
		case "msg":
			l.Message = text
		default:
			if l.Attributes == nil {
				l.Attributes = map[string]string{}
			}
			l.Attributes[name] = text
		}
	}
	return l, !l.Time.IsZero()
}

// saidOfAudit reads what the log says of the audit log.
func (l *applianceLog) saidOfAudit() (said audit.Said, err error) {
	paths, err := l.paths()
	if err != nil {
		return said, err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return audit.Said{}, err
		}
		for lines := store.NewLineReader(f); ; {
			line, _, err := lines.Next()
			if err != nil {
				f.Close()
				return audit.Said{}, err
			}
			if line == nil {
				break
			}
			if parsed, ok := parseLogLine(line); ok {
				said.Observe(parsed)
			}
		}
		f.Close()
	}
	return said, nil
}
