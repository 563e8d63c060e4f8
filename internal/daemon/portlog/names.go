package portlog

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"diagsh/internal/daemon/portlog/reporter"
	"diagsh/internal/daemon/store"
)

// The files of the log are HOST-portlog-YYYYMMDD-HHMMSS.ndjson, with the time in UTC as captures
// have it, and PR-PORTS-YYYY-MM-DDThh-mm-ss.log and its two companions, whose time is local as in
// their lines.
var (
	linesPattern    = regexp.MustCompile(`^.+-portlog-(\d{8}-\d{6})\.ndjson$`)
	reporterPattern = regexp.MustCompile(`^PR-(?:INITIAL|PORTS|PIDS)-(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2})\.log$`)
)

const linesStamp = "20060102-150405"

func linesName(host string, begin time.Time) string {
	return host + "-portlog-" + begin.UTC().Format(linesStamp) + ".ndjson"
}

// beginOf returns when the set of a file begins, and whether the file is one of the log.
func (l *Log) beginOf(name string) (begin time.Time, ours bool) {
	if m := linesPattern.FindStringSubmatch(name); m != nil {
		t, err := time.ParseInLocation(linesStamp, m[1], time.UTC)
		return t, err == nil
	}
	if m := reporterPattern.FindStringSubmatch(name); m != nil {
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
		if linesPattern.MatchString(name) {
			return name
		}
	}
	return slices.Max(s.names) // PR-PORTS
}

// stretches lists all sets, the oldest first.
func (l *Log) stretches() ([]stretch, error) {
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
	slices.SortFunc(list, func(a, b stretch) int { return a.begin.Compare(b.begin) })
	return list, nil
}

// freeBegin returns the first whole second from now on whose names no file has.
func (l *Log) freeBegin(now time.Time) time.Time {
	for begin := now.Truncate(time.Second); ; begin = begin.Add(time.Second) {
		names := append(l.reporter.Names(begin), linesName(l.o.Hostname(), begin))
		if !slices.ContainsFunc(names, l.o.Files.Exists) {
			return begin
		}
	}
}

func (l *Log) pathOf(name string) string { return filepath.Join(l.o.Files.Path(), name) }

// repair takes away the end of files that ends no line: a death came between.
func (l *Log) repair() error {
	list, err := l.stretches()
	for _, s := range list {
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
	end, err := store.LineBefore(f, info.Size())
	if err != nil || end == info.Size() {
		return err
	}
	return f.Truncate(end)
}
