package capture_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
)

// slowFile takes packets at once, and the disk takes its time to close it.
type slowFile struct {
	capture.File // of a name, and no contents
	most, bytes  int64
	packets      int64
	closes       <-chan struct{}
}

func (f *slowFile) Write(batch []capture.Packet) (int, error) {
	for i, p := range batch {
		if f.bytes+int64(len(p.Data)) > f.most {
			return i, capture.ErrSizeLimit
		}
		f.bytes += int64(len(p.Data))
		f.packets++
	}
	return len(batch), nil
}

func (f *slowFile) Info() capture.FileInfo {
	return capture.FileInfo{Bytes: f.bytes, Packets: f.packets}
}

func (f *slowFile) Ending() int64             { return 0 }
func (f *slowFile) Flush() (bool, error)      { return false, nil }
func (f *slowFile) Free(int64) (int64, error) { return 1 << 40, nil }
func (f *slowFile) Close([]capture.Counters) (capture.FileInfo, error) {
	<-f.closes
	return f.Info(), nil
}

// While the disk is slow there are more files than are kept, within bounds; and no longer than
// that.
func TestFilesThatWaitForASlowDisk(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*capture.Spec)
		keep   int
		most   int
	}{
		{"circular", func(s *capture.Spec) { s.Mode, s.Limits.SizeBytes = capture.Circular, 100<<20 }, 10, 10 + 10 + 3},
		{"small", func(s *capture.Spec) {
			s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 4 << 20, KeepFiles: 3}
		}, 3, 3 + 16 + 3},
		{"large", func(s *capture.Spec) {
			s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 40 << 20, KeepFiles: 4}
		}, 4, 4 + 4 + 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := newNumberedSource(1 << 30)
			c := fakeConfig(t, source.fakeSource)
			c.Open = func([]capture.Tap) (capture.Source, error) { return source, nil }
			c.Interfaces = c.Interfaces[:1]
			test.change(&c.Spec)
			closes := make(chan struct{})
			count := func() int {
				entries, err := os.ReadDir(c.Dir.Name())
				if err != nil {
					t.Error(err)
				}
				return len(entries)
			}
			c.Create = func(dir *os.Root, name string, h capture.FileHeader) (capture.File, error) {
				err := dir.WriteFile(name, nil, 0o600)
				return &slowFile{most: h.MaxBytes, closes: closes}, err
			}
			job, err := capture.Start(c)
			if err != nil {
				t.Fatal(err)
			}
			// As many files close as are kept, and then the disk stands still.
			for range test.keep {
				closes <- struct{}{}
			}
			for end := time.Now().Add(30 * time.Second); count() < test.most-3; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("there are only %d files, of which %d are kept; at most %d", count(), test.keep, test.most)
				}
			}
			for last := -1; last != count(); time.Sleep(50 * time.Millisecond) {
				last = count() // until the capture waits
			}
			if n := count(); n > test.most {
				t.Errorf("there are %d files, of which %d are kept; at most %d", n, test.keep, test.most)
			}
			job.Stop(capture.StoppedByUser)
			close(closes)
			<-job.Done()
			if s := job.Status(); count() != test.keep || len(s.Files) != test.keep {
				t.Errorf("in the end there are %d files, and %d in the status", count(), len(s.Files))
			}
		})
	}
}

// Files that are held stay, and all that are younger, while the capture goes on; then the window is
// the last one again. Each file is told of as it closes, before it could go.
func TestHeldFilesStay(t *testing.T) {
	source := newNumberedSource(20_000)
	c := fakeConfig(t, source.fakeSource)
	c.Open = func([]capture.Tap) (capture.Source, error) { return source, nil }
	c.Interfaces, c.Spec.Format, c.FileName = c.Interfaces[:1], capture.PCAP, "file.pcap"
	c.Spec.Mode, c.Spec.Rotation = capture.Ring, capture.Rotation{FileBytes: 1 << 20, KeepFiles: 3}
	files, err := pcapfile.NewFiles(0)
	if err != nil {
		t.Fatal(err)
	}
	c.Create, c.Release = files.Create, files.Close
	var mutex sync.Mutex
	held, closed := map[string]bool{}, []string{}
	c.OnClose = func(f capture.FileInfo) {
		mutex.Lock()
		defer mutex.Unlock()
		if _, err := c.Dir.Stat(f.Name); err != nil || f.Packets == 0 {
			t.Errorf("it is told of %+v, which is not there: %v", f, err)
		}
		held[f.Name] = true
		closed = append(closed, f.Name)
	}
	c.Retain = func(name string) bool {
		mutex.Lock()
		defer mutex.Unlock()
		return held[name]
	}
	job, err := capture.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	numbers := func() (all int) {
		mutex.Lock()
		defer mutex.Unlock()
		return len(closed)
	}
	awaitStatus(t, job, "all is written",
		func(s capture.Status) bool { return s.PacketsWritten == 20_000 && numbers() == len(s.Files)-1 })
	if s := job.Status(); s.FilesRemoved != 0 || len(s.Files) < 10 {
		t.Errorf("it kept %d files and removed %d", len(s.Files), s.FilesRemoved)
	}
	// The second may go, and waits for the first.
	mutex.Lock()
	delete(held, closed[1])
	mutex.Unlock()
	job.Prune()
	mutex.Lock()
	delete(held, closed[0])
	mutex.Unlock()
	job.Prune()
	awaitStatus(t, job, "two files are gone",
		func(s capture.Status) bool { return s.FilesRemoved == 2 && s.Files[0].Name == closed[2] })
	mutex.Lock()
	clear(held)
	mutex.Unlock()
	job.Prune()
	awaitStatus(t, job, "the window is the last one", func(s capture.Status) bool { return len(s.Files) == 3 })
	job.Stop(capture.StoppedByUser)
	<-job.Done()
	s := job.Status()
	next, packets := -1, 0
	for _, f := range s.Files {
		n, count := numbersOf(t, filepath.Join(c.Dir.Name(), f.Name), next)
		next, packets = n, packets+count
	}
	if next != 20_000 || packets+int(s.PacketsRemoved) != 20_000 || numbers() != len(s.Files)+int(s.FilesRemoved) {
		t.Errorf("the last packet is %d; %d packets and %d files are kept of %+v", next, packets, len(s.Files), s)
	}
}
