package portlog

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"diagsh/internal/daemon/portlog/reporter"
	"diagsh/internal/daemon/store"
)

// The files of the log are HOST-portlog-YYYYMMDD-HHMMSS.ndjson, with the time in UTC as captures
// have it, and PR-PORTS-YYYY-MM-DDThh-mm-ss.log and its two companions, whose time is local as in
// their lines.
var (
	linesPattern    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^.+-portlog-(\d{8}-\d{6})\.ndjson$`) })
	reporterPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^PR-(?:INITIAL|PORTS|PIDS)-(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2})\.log$`)
	})
)

const linesStamp = "20060102-150405"

func linesName(host string, begin time.Time) string {
	return host + "-portlog-" + begin.UTC().Format(linesStamp) + ".ndjson"
}

// beginOf returns when the set of a file begins, and whether the file is one of the log.
func (l *Log) beginOf(name string) (begin time.Time, ours bool) {
	if m := linesPattern().FindStringSubmatch(name); m != nil {
		t, err := time.ParseInLocation(linesStamp, m[1], time.UTC)
		return t, err == nil
	}
	if m := reporterPattern().FindStringSubmatch(name); m != nil {
		t, err := time.ParseInLocation(reporter.Stamp, m[1], l.location)
		return t, err == nil
	}
	return time.Time{}, false
}

// A stretch is the files of a set, as they are on the disk.
type stretch struct {
	begin time.Time
	names []string
	bytes int64
	last  time.Time // when something was written
}

// main is the file of a set that users are told of: the lines of JSON, or those of the ports.
func (s stretch) main() string {
	for _, name := range s.names {
		if linesPattern().MatchString(name) {
			return name
		}
	}
	return slices.Max(s.names) // PR-PORTS
}

// stretches lists all sets, the oldest first. The one that is written is the last: a set that begins
// after it was there before the clock was set back.
func (l *Log) stretches() ([]stretch, error) {
	present := l.present()
	dir, err := l.o.Files.Root().Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var list []stretch
	at := make(map[int64]int) // of a second, its place in list
	for _, e := range entries {
		begin, ours := l.beginOf(e.Name())
		if !ours || !e.Type().IsRegular() {
			continue
		}
		if slices.Contains(present.names, e.Name()) {
			begin = present.begin // local times of an hour in autumn are there twice
		}
		info, err := e.Info()
		if err != nil {
			continue // it went meanwhile
		}
		i, known := at[begin.Unix()]
		if !known {
			i = len(list)
			at[begin.Unix()] = i
			list = append(list, stretch{begin: begin})
		}
		s := &list[i]
		s.names, s.bytes = append(s.names, e.Name()), s.bytes+info.Size()
		if info.ModTime().After(s.last) {
			s.last = info.ModTime()
		}
	}
	slices.SortFunc(list, func(a, b stretch) int {
		if early := a.begin.After(present.begin); early != b.begin.After(present.begin) {
			if early {
				return -1
			}
			return 1
		}
		return a.begin.Compare(b.begin)
	})
	return list, nil
}

// freeBegin returns the first whole second from now on whose names no file has, and the names.
func (l *Log) freeBegin(now time.Time) (time.Time, []string) {
	for begin := now.Truncate(time.Second); ; begin = begin.Add(time.Second) {
		names := append(l.reporter.Names(begin), linesName(l.o.Hostname(), begin))
		if !slices.ContainsFunc(names, l.o.Files.Exists) {
			return begin, names
		}
	}
}

func (l *Log) pathOf(name string) string { return filepath.Join(l.o.Files.Path(), name) }

// mostTorn is more than the longest line. An end that is longer is of no line of ours.
const mostTorn = 64 << 10

// repair takes away the end of files that ends no line: a death came between. It touches none that
// is older than the log that died.
func (l *Log) repair(start time.Time) error {
	list, err := l.stretches()
	for _, s := range list {
		if s.begin.Before(start.Truncate(time.Second)) {
			continue
		}
		for _, name := range s.names {
			err = cmp.Or(err, l.repairFile(name))
		}
	}
	return err
}

func (l *Log) repairFile(name string) error {
	f, err := l.o.Files.Root().OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	from := max(0, info.Size()-mostTorn)
	end, err := store.LineBefore(io.NewSectionReader(f, from, mostTorn), info.Size()-from)
	if err != nil || from+end == info.Size() || from > 0 && end == 0 {
		return err
	}
	return f.Truncate(from + end)
}
