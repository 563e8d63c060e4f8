package daemon

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
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
}

func openApplianceLog(dir string) (*applianceLog, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &applianceLog{path: filepath.Join(dir, "appliance.jsonl")}
	return l, l.open()
}

func (l *applianceLog) open() (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err == nil {
		l.bytes = info.Size()
	}
	return err
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
	if l.bytes > 0 && l.bytes+int64(len(line)) > keptLogBytes {
		l.file.Close()
		if err := os.Rename(l.path, l.older()); err != nil {
			return 0, err
		}
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.bytes += int64(n)
	l.bell.ring()
	return n, err
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
