package files

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// A shelf is an owner of the files whose names end in its suffix.
type shelf struct {
	suffix string
	facts  Facts
	busy   string // a file that it needs

	mu      sync.Mutex
	old     map[string]time.Time // may go, and since when
	removed []string
	slow    func() // called when a file was taken; may be nil
}

func (s *shelf) Kind() string { return "files of " + s.suffix }

func (s *shelf) Describe() func(string) (Facts, bool) {
	return func(name string) (Facts, bool) { return s.facts, strings.HasSuffix(name, s.suffix) }
}

func (s *shelf) MayRemove(name string) error {
	if name == s.busy {
		return menu.Errorf(menu.State, "%s is needed", name)
	}
	return nil
}

func (s *shelf) Removed(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, names...)
}

func (s *shelf) Expendable() (list []Expendable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.old)) {
		list = append(list, Expendable{Name: name, Of: "shelf", Since: s.old[name], Take: func() bool {
			s.mu.Lock()
			_, ok := s.old[name]
			delete(s.old, name)
			s.mu.Unlock()
			if ok && s.slow != nil {
				s.slow()
			}
			return ok
		}})
	}
	return list
}

func (s *shelf) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.removed)
}

// newDirectory opens a directory with owners, and returns what the audit log is told.
func newDirectory(t *testing.T, o Options, owners ...Owner) (*Directory, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var events []string
	o.Path, o.Log = filepath.Join(t.TempDir(), "diagnostic"), slog.New(slog.DiscardHandler)
	o.System = func(path, message string, _ map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, path+": "+message)
	}
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(context.Background()) })
	for _, owner := range owners {
		d.Register(owner)
	}
	return d, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(events)
	}
}

func (d *Directory) put(t *testing.T, bytes int64, names ...string) {
	t.Helper()
	for _, name := range names {
		f, err := d.CreateFile(name)
		if err == nil {
			err = errors.Join(f.Truncate(bytes), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The first owner that knows a file says what is in it. What nobody owns counts as packets.
func TestOwnersDescribe(t *testing.T) {
	first := &shelf{suffix: ".pcap", facts: Facts{}}
	second := &shelf{suffix: "p", facts: Facts{Payload: true, Role: menu.Administrator}}
	d, _ := newDirectory(t, Options{}, first, second)
	d.put(t, 1, "a.pcap", "b.zip", "c.txt", capture.PartName("d.pcap"), ".other")
	want := map[string]Facts{"a.pcap": {}, "b.zip": {Payload: true, Role: menu.Administrator}, "c.txt": {Payload: true}}
	list, err := d.ListFiles()
	if err != nil || len(list) != len(want) {
		t.Fatalf("the files are %+v, %v", list, err)
	}
	for _, f := range list {
		stat, err := d.StatFile(f.Name)
		if got := (Facts{f.Payload, f.Role}); got != want[f.Name] || stat != f || err != nil {
			t.Errorf("%+v, and alone %+v, %v", f, stat, err)
		}
	}
	u, err := d.DirectoryUse()
	if got := fmt.Sprint(u.Kinds); err != nil || got != "[{files of .pcap 1 1} {captures being written 1 1} {files of p 1 1} {other 2 2}]" || u.Files != 5 {
		t.Errorf("in use are %+v, %v", u, err)
	}
}

func TestOwnersAreAskedAndTold(t *testing.T) {
	first, second := &shelf{suffix: ".a"}, &shelf{suffix: ".b", busy: "x.a"}
	d, _ := newDirectory(t, Options{}, first, second)
	d.put(t, 1, "x.a", "y.a")
	roomtest.WantCode(t, d.RemoveFile(menu.Caller{}, "x.a"), menu.State)
	roomtest.WantCode(t, d.RemoveFile(menu.Caller{}, "y.a"), 0)
	for _, s := range []*shelf{first, second} {
		if !slices.Equal(s.told(), []string{"y.a"}) {
			t.Errorf("%s is told of %q", s.Kind(), s.told())
		}
	}
	if !d.Exists("x.a") || d.Exists("y.a") {
		t.Error("the wrong file is gone")
	}
}

// Below the quota comes by deleting what may go, the oldest first whoever owns it, and no more than
// is needed.
func TestQuota(t *testing.T) {
	const mib = 1 << 20
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	for deletes, want := range map[bool][]string{false: {"1.a", "2.b", "3.a", "kept.a"}, true: {"3.a", "kept.a"}} {
		first := &shelf{suffix: ".a", old: map[string]time.Time{"1.a": at(1), "3.a": at(3)}}
		second := &shelf{suffix: ".b", old: map[string]time.Time{"2.b": at(2)}}
		d, events := newDirectory(t, Options{QuotaBytes: 50 * mib, DeleteOldest: deletes}, first, second)
		d.put(t, 10*mib, "1.a", "2.b", "3.a")
		d.put(t, 15*mib, "kept.a")
		err := d.Room(20*mib, 0)
		if deletes {
			roomtest.WantCode(t, err, 0)
			if got := events(); !slices.Equal(got, []string{"shelf: The file 1.a was deleted to stay below the quota", "shelf: The file 2.b was deleted to stay below the quota"}) {
				t.Errorf("the audit log has %q", got)
			}
			if got := second.told(); !slices.Equal(got, []string{"1.a", "2.b"}) {
				t.Errorf("an owner is told of %q", got)
			}
		} else {
			roomtest.WantCode(t, err, menu.State)
		}
		var names []string
		list, err := d.ListFiles()
		for _, f := range list {
			names = append(names, f.Name)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("left are %q, %v", names, err)
		}
		roomtest.WantCode(t, d.Room(45*mib, 0), menu.State) // there is kept.a
		roomtest.WantCode(t, d.Room(0, 1<<60), menu.State)  // no disk is so large
		var quota *capture.QuotaError
		d.put(t, 40*mib, "more.c")
		if err := d.Allowance(); !errors.As(err, &quota) || quota.QuotaBytes != 50*mib {
			t.Errorf("captures may write on: %v", err)
		}
	}
}

// A file that another goroutine is deleting is room that there will be, and no reason to refuse.
func TestTwoTrimAtOnce(t *testing.T) {
	const mib = 1 << 20
	taken, deleted := make(chan struct{}), make(chan struct{})
	s := &shelf{suffix: ".a", old: map[string]time.Time{"1.a": time.Unix(1, 0)}}
	s.slow = func() {
		close(taken)
		<-deleted
	}
	d, _ := newDirectory(t, Options{QuotaBytes: 50 * mib, DeleteOldest: true}, s)
	d.put(t, 48*mib, "1.a")
	results := make(chan error, 2)
	go func() { results <- d.Room(10*mib, 0) }()
	<-taken
	go func() { results <- d.Room(10*mib, 0) }()
	close(deleted)
	for range 2 {
		roomtest.WantCode(t, <-results, 0)
	}
}

func TestSweep(t *testing.T) {
	now := time.Now()
	s := &shelf{suffix: ".a", old: map[string]time.Time{"1.a": now.Add(-3 * time.Hour), "2.a": now.Add(-time.Hour)}}
	d, events := newDirectory(t, Options{KeepFor: 2 * time.Hour}, s)
	d.put(t, 1, "1.a", "2.a", "3.a")
	d.Sweep(now)
	if d.Exists("1.a") || !d.Exists("2.a") || !d.Exists("3.a") || !slices.Equal(s.told(), []string{"1.a"}) {
		t.Errorf("the owner is told of %q", s.told())
	}
	if got := events(); !slices.Equal(got, []string{"shelf: The file 1.a was deleted because it was older than files are kept"}) {
		t.Errorf("the audit log has %q", got)
	}
}

// What a room needs that does not own it stays, also if the need came after it was listed: neither the
// quota nor its age deletes it.
func TestSpared(t *testing.T) {
	const mib = 1 << 20
	first := time.Unix(1, 0)
	s := &shelf{suffix: ".a", old: map[string]time.Time{"1.a": first, "2.a": first.Add(1), "3.a": first.Add(2)}}
	d, _ := newDirectory(t, Options{QuotaBytes: 50 * mib, DeleteOldest: true, KeepFor: time.Hour}, s)
	needed := []string{"1.a"}
	d.Spare(func() []string { return needed })
	s.slow = func() { needed = []string{"1.a", "2.a"} } // from when the first file is taken
	s.old["0.a"] = time.Unix(0, 0)
	d.put(t, 10*mib, "0.a", "1.a", "2.a", "3.a")
	roomtest.WantCode(t, d.Room(30*mib, 0), 0)
	d.Sweep(time.Now())
	if d.Exists("0.a") || !d.Exists("1.a") || !d.Exists("2.a") || d.Exists("3.a") {
		t.Errorf("deleted are %q", s.told())
	}
	roomtest.WantCode(t, d.Room(35*mib, 0), menu.State)
	needed, s.slow = nil, nil
	roomtest.WantCode(t, d.Room(35*mib, 0), 0)
}

// A file gets its name when it is whole, and takes no other file's place.
func TestCreateAndRename(t *testing.T) {
	d, _ := newDirectory(t, Options{})
	d.put(t, 5, ".hidden", "there")
	if list, err := d.ListFiles(); err != nil || len(list) != 1 {
		t.Errorf("the files are %+v, %v", list, err)
	}
	if err := d.RenameFile(".hidden", "there"); !errors.Is(err, os.ErrExist) {
		t.Errorf("it takes the place of another: %v", err)
	}
	if _, err := d.CreateFile("there"); !errors.Is(err, os.ErrExist) {
		t.Errorf("another one of its name: %v", err)
	}
	if err := d.RenameFile(".hidden", "new"); err != nil {
		t.Fatal(err)
	}
	if f, err := d.StatFile("new"); err != nil || f.Bytes != 5 {
		t.Errorf("%+v, %v", f, err)
	}
	d.put(t, 1, capture.PartName("mail.pcap"))
	_, err := d.OpenFile("mail.pcap")
	if e := menu.AsError(err); e.Code != menu.NotFound || !strings.Contains(e.Message, "still being written") {
		t.Errorf("a file that is being written: %v", err)
	}
}
