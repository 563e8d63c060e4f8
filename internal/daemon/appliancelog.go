package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// keptLogBytes is how large the appliance's log gets before another file is begun; the one before it is kept.
const keptLogBytes = 4 << 20

// An applianceLog keeps the appliance's own log, beside where it goes otherwise, so that it can be read from the menus and put into a
// report. It is the writer below a handler of slog, which writes a line at a time.
type applianceLog struct {
	path string
	bell bell

	mu    sync.Mutex
	file  *os.File
	bytes int64
	lost  int // lines, since the last one that is there
}

func openApplianceLog(dir string) (*applianceLog, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &applianceLog{path: filepath.Join(dir, "appliance.jsonl")}
	return l, l.open()
}

// open opens the file anew. When it cannot, the one that was open before stays.
func (l *applianceLog) open() error {
	f, bytes, err := openToAppend(l.path)
	if err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.bytes = f, bytes
	return nil
}

// older is the file before the present one.
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
	if l.file == nil {
		return 0, os.ErrClosed
	}
	if l.bytes > 0 && l.bytes+int64(len(line)) > keptLogBytes && os.Rename(l.path, l.older()) == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	data := line
	if l.lost > 0 {
		note := fmt.Sprintf(`{"time":%q,"level":"ERROR","msg":"lines are missing here: the disk did not take them","lines":%d}`, time.Now().Format(time.RFC3339Nano), l.lost)
		data = append([]byte(note+"\n"), line...)
	}
	part, err := appendLine(l.file, data)
	if err != nil {
		l.bytes += int64(part)
		l.lost++
		return 0, err
	}
	l.bytes += int64(len(data))
	l.lost = 0
	l.bell.ring()
	return len(line), nil
}

func (l *applianceLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.file
	l.file = nil
	return f.Close()
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
