package records

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/diag/ports"
)

// A folder is a log that a test writes.
type folder struct {
	path string

	mu      sync.Mutex
	names   []string
	changed chan struct{}
	opened  []string
}

func newFolder(t *testing.T) *folder {
	return &folder{path: t.TempDir(), changed: make(chan struct{})}
}

func (l *folder) Names() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.names), nil
}

func (l *folder) Open(name string) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = append(l.opened, name)
	return os.Open(filepath.Join(l.path, name))
}

func (l *folder) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// add appends text to a file, which it makes.
func (l *folder) add(t *testing.T, name, text string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(l.path, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(l.names, name) {
		l.names = append(l.names, name)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// text returns the lines of records, by their sockets, a second apart.
func text(sockets ...uint64) string {
	var b bytes.Buffer
	for _, n := range sockets {
		r := ports.Record{Time: noon.Add(time.Duration(n) * time.Second), Event: ports.Connected, Protocol: ports.TCP, Socket: n, RemotePort: uint16(n % 10)}
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// sockets reads the log.
func sockets(t *testing.T, l Log, q Query) ([]uint64, Read) {
	t.Helper()
	got := []uint64{}
	read, err := Each(t.Context(), l, q, func(r *ports.Record) error {
		got = append(got, r.Socket)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, read
}

func filter(t *testing.T, s ports.Selection) *ports.Filter {
	f, err := s.Filter()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEach(t *testing.T) {
	l := newFolder(t)
	l.add(t, "1", text(1, 2)+"{\"time\":\"2026-11-30T12:00:03Z\",\"eve\n"+text(4)+"{\"time\":\"2026-11")
	l.add(t, "2", text(11, 12, 13))
	l.add(t, "3", text(21, 22)+text(23)[:40]) // is being written
	l.mu.Lock()
	l.names = append([]string{"0"}, l.names...) // was deleted
	l.mu.Unlock()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	old := at(14)
	for _, name := range []string{"1", "2", "3"} {
		os.Chtimes(filepath.Join(l.path, name), old, old)
	}
	for _, c := range []struct { // the first file is never skipped: nobody knows of when its end is
		name string
		q    Query
		want []uint64
		read Read
	}{
		{"all", Query{}, []uint64{1, 2, 4, 11, 12, 13, 21, 22}, Read{Files: 3, Torn: 2}},
		{"the newest", Query{Newest: 3}, []uint64{13, 21, 22}, Read{Files: 2}},
		{"more than there are", Query{Newest: 30}, []uint64{1, 2, 4, 11, 12, 13, 21, 22}, Read{Files: 3, Torn: 2}},
		{"a time", Query{From: at(12), To: at(13)}, []uint64{12, 13}, Read{Files: 2, Skipped: 1, Torn: 2}},
		{"from", Query{From: at(22)}, []uint64{22}, Read{Files: 2, Skipped: 1, Torn: 2}},
		{"to", Query{To: at(1)}, []uint64{1}, Read{Files: 1, Torn: 2, Skipped: 2}},
		{"newest of a time", Query{To: at(12), Newest: 2}, []uint64{11, 12}, Read{Files: 1, Skipped: 1}},
		{"a port", Query{Filter: filter(t, ports.Selection{Ports: []string{"2"}})}, []uint64{2, 12, 22}, Read{Files: 3, Torn: 2}},
		{"newest of a port", Query{Filter: filter(t, ports.Selection{Ports: []string{"2"}}), Newest: 2}, []uint64{12, 22}, Read{Files: 2}},
		{"none", Query{From: at(100)}, []uint64{}, Read{Files: 1, Skipped: 2, Torn: 2}},
	} {
		got, read := sockets(t, l, c.q)
		if !slices.Equal(got, c.want) || read != c.read {
			t.Errorf("%s: %d %+v, want %d %+v", c.name, got, read, c.want, c.read)
		}
	}
	if got, read := sockets(t, newFolder(t), Query{Newest: 5}); len(got) > 0 || read != (Read{}) {
		t.Errorf("an empty log: %d %+v", got, read)
	}
}

// The newest are found in files of any size, whatever is torn in between.
func TestNewest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		l := newFolder(t)
		var all []uint64
		n := uint64(0)
		for name := range 3 {
			var b strings.Builder
			for range random.IntN(6000) {
				if n++; n%97 == 0 {
					b.WriteString("torn\n")
				}
				b.WriteString(text(n))
				all = append(all, n)
			}
			l.add(t, fmt.Sprint(name), b.String())
		}
		most := 1 + random.IntN(len(all)+10)
		got, _ := sockets(t, l, Query{Newest: most})
		if !slices.Equal(got, all[max(0, len(all)-most):]) {
			t.Errorf("the newest %d of %d: %d", most, len(all), len(got))
		}
	}
}

// What is written while it is followed comes once, across files, and lines only when they are whole.
func TestFollow(t *testing.T) {
	l := newFolder(t)
	l.add(t, "1", text(1, 2))
	ctx, interrupt := context.WithCancel(t.Context())
	got := make(chan uint64)
	done := make(chan error, 1)
	go func() {
		done <- Follow(ctx, l, Query{Newest: 1, Filter: filter(t, ports.Selection{Ports: []string{"1-8"}})},
			func(Read) error { got <- 0; return nil },
			func(r *ports.Record) error { got <- r.Socket; return nil })
	}()
	want := func(list ...uint64) {
		t.Helper()
		for _, n := range list {
			if next := <-got; next != n {
				t.Fatalf("%d comes, want %d", next, n)
			}
		}
	}
	want(2, 0)
	l.add(t, "1", text(3, 9, 4))
	want(3, 4)
	line := text(5)
	l.add(t, "1", line[:20])
	l.add(t, "1", line[20:]+text(6))
	want(5, 6)
	l.mu.Lock() // two files at once, of which nobody is told in between
	os.WriteFile(filepath.Join(l.path, "2"), []byte(text(8)), 0o600)
	l.names = append(l.names, "2")
	l.mu.Unlock()
	l.add(t, "3", text(11))
	want(8, 11)
	l.mu.Lock()
	os.Remove(filepath.Join(l.path, "1"))
	l.names = l.names[1:]
	l.mu.Unlock()
	l.add(t, "3", text(12))
	want(12)
	interrupt()
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// An error of yield is told from one of reading, and reading ends when ctx does.
func TestErrors(t *testing.T) {
	l := newFolder(t)
	l.add(t, "1", text(1, 2))
	mine := errors.New("mine")
	_, err := Each(t.Context(), l, Query{}, func(*ports.Record) error { return mine })
	var yielded *YieldError
	if !errors.As(err, &yielded) || yielded.Err != mine {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Each(ctx, l, Query{}, func(*ports.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := Follow(t.Context(), l, Query{}, func(Read) error { return mine }, func(*ports.Record) error { return nil }); err != mine {
		t.Errorf("%v", err)
	}
}

func BenchmarkEach(b *testing.B) {
	list := make([]uint64, 10_000)
	for i := range list {
		list[i] = uint64(i)
	}
	whole := text(list...)
	l := &folder{path: b.TempDir(), changed: make(chan struct{}), names: []string{"1"}}
	os.WriteFile(filepath.Join(l.path, "1"), []byte(whole), 0o600)
	b.ReportAllocs()
	b.SetBytes(int64(len(whole)))
	for b.Loop() {
		if _, err := Each(b.Context(), l, Query{}, func(*ports.Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// Where a log begins, ends or has gaps is not counted among the newest records of a selection: each of
// many sets begins with such lines, and the records are what was asked for.
func TestMarksAreNotCounted(t *testing.T) {
	l := newFolder(t)
	mark := func(n uint64, e ports.Event) string {
		data, err := json.Marshal(ports.Record{Time: noon.Add(time.Duration(n) * time.Second), Event: e, Socket: n})
		if err != nil {
			t.Fatal(err)
		}
		return string(data) + "\n"
	}
	l.add(t, "1", mark(1, ports.Began)+text(2, 3))
	l.add(t, "2", mark(11, ports.Began)+text(12)+mark(13, ports.Gap)+text(14))
	l.add(t, "3", mark(21, ports.Began)+text(23)+mark(24, ports.Ended))
	two := filter(t, ports.Selection{Ports: []string{"2"}})
	for _, c := range []struct {
		name string
		q    Query
		want []uint64
	}{
		{"one", Query{Filter: two, Newest: 1}, []uint64{12, 13, 21, 24}},
		{"two", Query{Filter: two, Newest: 2}, []uint64{2, 11, 12, 13, 21, 24}},
		{"all", Query{Filter: two, Newest: 9}, []uint64{1, 2, 11, 12, 13, 21, 24}},
		{"none is there", Query{Filter: filter(t, ports.Selection{Ports: []string{"9"}}), Newest: 2}, []uint64{21, 24}},
		{"marks alone", Query{Filter: filter(t, ports.Selection{Events: []string{"gap"}}), Newest: 3}, []uint64{13, 21, 24}},
		{"no selection", Query{Filter: filter(t, ports.Selection{}), Newest: 2}, []uint64{23, 24}},
		{"no filter", Query{Newest: 2}, []uint64{23, 24}},
	} {
		if got, _ := sockets(t, l, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
