package beside

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/capture"
)

// A writer is a Recorder that hands its file to the test.
type writer struct{ out *File }

func (*writer) Kind() Kind                  { return Flows }
func (*writer) Wanted(capture.Options) bool { return true }

func (w *writer) Begin(_ Capture, out *File) (func(), error) {
	w.out = out
	return func() {}, nil
}

func room(t *testing.T, o Options) (*Set, *File, string) {
	t.Helper()
	dir := t.TempDir()
	var err error
	if o.Dir, err = os.OpenRoot(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Dir.Close() })
	w := &writer{}
	o.File, o.Recorders = "mx1-one-20260301-101500.pcap", []Recorder{w}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	s, err := Begin(o, Capture{})
	if err != nil {
		t.Fatal(err)
	}
	return s, w.out, dir
}

// A file ends where it may not grow, says why, and has no half of a record.
func TestFileEndsByItself(t *testing.T) {
	low := false
	record := bytes.Repeat([]byte("x"), 1000)
	record[999] = '\n'
	for name, test := range map[string]struct {
		options Options
		why     string
	}{
		"size": {Options{MostBytes: 10_500}, "the most"},
		"disk": {Options{MostBytes: 1 << 30, Room: func() error {
			if low {
				return &capture.DiskLowError{FreeBytes: 1, ReserveBytes: 2}
			}
			low = true
			return nil
		}}, "disk is low"},
	} {
		s, f, dir := room(t, test.options)
		written := 0
		for {
			_, err := f.Write(record)
			if errors.Is(err, ErrStopped) {
				break
			}
			if err != nil || written > 2*Step {
				t.Fatal(written, err)
			}
			written += len(record)
		}
		if _, err := f.Write(record); !errors.Is(err, ErrStopped) {
			t.Errorf("%s: after its end it takes more", name)
		}
		f.Last([]byte("end\n"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		info := s.Files()[0]
		if !strings.Contains(info.Stopped, test.why) {
			t.Errorf("%s: it ended because %q", name, info.Stopped)
		}
		got, err := os.ReadFile(filepath.Join(dir, info.Name))
		if err != nil || len(got) != written+4 || info.Bytes != int64(len(got)) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), written, err)
		}
	}
}

// Nothing is left of the files of a capture that did not begin.
func TestDiscard(t *testing.T) {
	s, f, dir := room(t, Options{MostBytes: 1 << 20})
	f.Write([]byte("x\n"))
	s.Discard()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
