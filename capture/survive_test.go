package capture_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/disktest"

	"golang.org/x/sys/unix"
)

// The files of captures on a full disk.

// smallDisk lets captures write to a file system of a size.
func (b *bed) smallDisk(size string) *disktest.Disk {
	b.Helper()
	path := b.TempDir()
	disk := disktest.Tmpfs(b, path, size)
	b.in(path)
	return disk
}

// ext4Disk lets captures write to a disk with ext4, as appliances have.
func (b *bed) ext4Disk(bytes int64) *disktest.Disk {
	b.Helper()
	path := b.TempDir()
	disk := disktest.Ext4(b, path, bytes)
	b.in(path)
	return disk
}

func TestFullDisk(t *testing.T) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		b := newBed(t)
		b.smallDisk("6m")
		s := spec("right")
		s.Format = format
		job := b.start(s)
		sent := frames(20000)
		b.wire("left").send(sent...)
		status := b.wait(job)
		if status.StopReason != capture.DiskLow || status.Error == "" || status.PacketsWritten == 0 ||
			status.Files[0].Packets != int64(status.PacketsWritten) {
			t.Errorf("status is %+v", status)
		}
		name := "capture" + format.Extension()
		same(t, b.read(name), sent[:status.PacketsWritten], capture.MaxSnapLength)
		wireshark(t, filepath.Join(b.path, name), int(status.PacketsWritten))
	}
}

func TestFullDiskIsNoticedWithoutFurtherPackets(t *testing.T) {
	b := newBed(t)
	b.smallDisk("1m")
	job := b.start(spec("right"))
	sent := frames(2000)
	b.wire("left").send(sent...)
	if status := b.wait(job); status.StopReason != capture.DiskLow {
		t.Errorf("status is %+v", status)
	}
}

func TestReserveIsKept(t *testing.T) {
	b := newBed(t)
	b.smallDisk("40m")
	s := spec("right")
	s.ReserveBytes = 24 << 20
	job := b.start(s)
	left := b.wire("left")
	sent := frames(40000)
	left.send(sent...)
	status := b.wait(job)
	if status.StopReason != capture.DiskLow || status.State != capture.Stopped {
		t.Errorf("status is %+v", status)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(b.path, &disk); err != nil {
		t.Fatal(err)
	}
	// The disk is checked every 4 MiB, and bytes on their way to the disk may count twice.
	if free := int64(disk.Bavail) * disk.Bsize; free < s.ReserveBytes || free > s.ReserveBytes+13<<20 {
		t.Errorf("%d bytes are free", free)
	}
	same(t, b.read("capture.pcap"), sent[:status.PacketsWritten], capture.MaxSnapLength)

	if err := b.dir.Rename("capture.pcap", "other.pcap"); err != nil {
		t.Fatal(err)
	}
	s.ReserveBytes += 10 << 20
	b.ns.Do(t, func() {
		_, err := capture.Start(b.config(s))
		var low *capture.DiskLowError
		if !errors.As(err, &low) {
			t.Errorf("a capture on a low disk: %v", err)
		}
	})
	b.filesAre("other.pcap")
}

// Several captures of the same load share the free disk. What each has in memory, and may write
// before its next check, is not free for the others. So not all of them may start where each alone
// could.
func TestReserveIsKeptBySeveral(t *testing.T) {
	b := newBed(t)
	b.smallDisk("24m")
	s := spec("right")
	s.ReserveBytes = 13 << 20
	var volume pcapfile.Volume
	var jobs []*capture.Job
	for i := range 4 {
		files, err := volume.NewFiles(16 << 20)
		if err != nil {
			t.Fatal(err)
		}
		var job *capture.Job
		b.ns.Do(t, func() {
			c := b.config(s)
			c.FileName = fmt.Sprintf("capture-%d.pcap", i)
			c.Create, c.Release = files.Create, files.Close
			job, err = capture.Start(c)
		})
		var low *capture.DiskLowError
		switch {
		case errors.As(err, &low) && i > 0:
		case err != nil:
			t.Fatal(err)
		default:
			jobs = append(jobs, job)
			t.Cleanup(func() {
				job.Stop(capture.Shutdown)
				<-job.Done()
			})
		}
	}
	left, load := b.wire("left"), [][]byte{}
	for n := range 2700 {
		load = append(load, frame(n, 1400))
	}
	// At first less than after which they look, and then until they have ended.
	for slices.ContainsFunc(jobs, func(j *capture.Job) bool { return j.Status().State == capture.Running }) {
		left.send(load...)
	}
	for _, job := range jobs {
		if status := b.wait(job); status.StopReason != capture.DiskLow {
			t.Errorf("status is %+v", status)
		}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(b.path, &disk); err != nil {
		t.Fatal(err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < s.ReserveBytes {
		t.Errorf("%d captures left %d bytes free, of %d in reserve", len(jobs), free, s.ReserveBytes)
	}
}

// A capture that writes little ends too when another takes the disk that is kept in reserve.
func TestReserveThatAnotherTakes(t *testing.T) {
	b := newBed(t)
	b.smallDisk("40m")
	s := spec("right")
	s.ReserveBytes = 24 << 20
	job := b.start(s)
	// There is room for the packets all the same: it is not the full disk that ends it.
	if err := os.WriteFile(filepath.Join(b.path, "of another"), make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	left := b.wire("left")
	for sent, end := 0, time.Now().Add(10*time.Second); job.Status().State == capture.Running && time.Now().
		Before(end); sent++ {
		left.send(killedFrame(sent))
		time.Sleep(time.Millisecond)
	}
	status := b.wait(job)
	if status.StopReason != capture.DiskLow || !strings.Contains(status.Error, "kept in reserve") ||
		status.BytesWritten > 2<<20 {
		t.Errorf("status is %+v", status)
	}
}

// filledSpecs returns captures in every mode. Their files leave room on a disk of 64 MiB, except
// the one of the mode single, which grows.
func filledSpecs(format capture.Format) []capture.Spec {
	var all []capture.Spec
	for _, mode := range []capture.Mode{capture.Single, capture.Circular, capture.Ring, capture.Append} {
		s := spec("right")
		s.Name, s.Mode, s.Format = string(mode), mode, format
		switch mode {
		case capture.Circular:
			s.Limits.SizeBytes = 10 << 20
		case capture.Ring:
			s.Rotation = capture.Rotation{FileBytes: 1 << 20, KeepFiles: 3}
		}
		all = append(all, s)
	}
	return all
}

// traffic sends numbered frames until it is stopped, which returns how many.
func (w *wire) traffic() (stop func() int) {
	w.Helper()
	quit, ended := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { ended <- n }()
		for {
			for range 20 {
				if err := w.frames.Send(killedFrame(n)); err != nil {
					w.Error(err)
					return
				}
				n++
			}
			select {
			case <-quit:
				return
			case <-time.After(300 * time.Microsecond):
			}
		}
	}()
	return func() int { close(quit); return <-ended }
}

// Another writer takes the disk to its last byte, and what a rotation frees at once, while captures
// run in every mode, several at once. Each says so, and what it wrote before is whole.
func TestDiskThatAnotherFills(t *testing.T) {
	t.Parallel()
	for name, smallDisk := range map[string]func(*bed) *disktest.Disk{
		"tmpfs": func(b *bed) *disktest.Disk { return b.smallDisk("64m") },
		"ext4":  func(b *bed) *disktest.Disk { return b.ext4Disk(64 << 20) },
	} {
		for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
			t.Run(name+"/"+string(format), func(t *testing.T) {
				b := newBed(t)
				disk := smallDisk(b)
				left := b.wire("left")
				before := b.appendable(format, left)
				jobs := map[string]*capture.Job{}
				for _, s := range filledSpecs(format) {
					jobs[s.Name] = b.start(s, func(c *capture.Config) {
						files, err := pcapfile.NewFiles(16 << 20)
						if err != nil {
							t.Fatal(err)
						}
						c.FileName = s.Name + format.Extension()
						if s.Mode == capture.Append {
							c.Before = &before
						}
						c.Create, c.Append, c.Release = files.Create, files.Append, files.Close
					})
				}
				stop := left.traffic()
				awaitStatus(t, jobs["ring"], "all captures have begun to write", func(ring capture.Status) bool {
					for mode := range jobs {
						name := mode + format.Extension()
						if info, err := os.Stat(filepath.Join(b.path, capture.PartName(name))); err == nil &&
							info.Size() < 64<<10 {
							return false
						}
					}
					return ring.FilesRemoved > 0 && jobs["circular"].Status().PacketsWritten > 0
				})
				filled, release := disk.Fill()
				for _, job := range jobs {
					b.wait(job)
				}
				sent := stop()
				release()
				b.fullDiskLeft(jobs, filepath.Base(filled), sent)
			})
		}
	}
}

// appendable makes a capture that has ended, for the one that appends to go on with.
func (b *bed) appendable(format capture.Format, left *wire) capture.Status {
	b.Helper()
	s := spec("right")
	s.Format = format
	job := b.start(s, func(c *capture.Config) { c.FileName = string(capture.Append) + format.Extension() })
	for i := range appended {
		left.send(killedFrame(i))
	}
	return b.stop(job)
}

// appended is how many packets a file has that a capture appends to.
const appended = 100

// fullDiskLeft checks the captures that a full disk ended, of traffic of that many packets, and all
// files on the disk.
func (b *bed) fullDiskLeft(jobs map[string]*capture.Job, beside string, sent int) {
	b.Helper()
	names := map[string]bool{beside: true, "lost+found": true}
	for mode, job := range jobs {
		s := job.Status()
		if s.StopReason != capture.DiskLow || s.State != capture.Stopped || s.Error != "the disk is full" {
			b.Errorf("%s ended as %s, %s: %q", mode, s.State, s.StopReason, s.Error)
		}
		if *s.PacketsMatched != s.PacketsReceived+*s.PacketsDropped ||
			s.PacketsReceived != s.PacketsWritten+s.PacketsDiscarded+s.PacketsBehindLimit {
			b.Errorf("the counters of %s do not add up: %+v", mode, s)
		}
		// The numbers of the frames in the files go on from the first kept to the last that is
		// counted as written.
		first, packets := 0, int64(0)
		if mode == string(capture.Append) {
			first = -appended
		}
		next := first + int(s.PacketsRemoved)
		for _, f := range s.Files {
			names[f.Name] = true
			got := b.read(f.Name)
			for _, p := range got {
				want := next
				if want < 0 {
					want += appended
				}
				if !sameFrame(p.data, want) {
					b.Fatalf("%s: %s: where packet %d should be is number %d", mode, f.Name, next, frameNumber(p.data))
				}
				next++
			}
			info, err := os.Stat(filepath.Join(b.path, f.Name))
			if err != nil || info.Size() != f.Bytes || int64(len(got)) != f.Packets {
				b.Errorf("%s: %d packets in %v, the status says %+v", mode, len(got), info, f)
			}
			packets += f.Packets
			wireshark(b, filepath.Join(b.path, f.Name), len(got))
		}
		if want := uint64(packets + s.PacketsRemoved); s.PacketsWritten != want || packets == 0 || next > sent {
			b.Errorf("%s: %d packets were written of %d, %d are there and %d removed", mode, s.PacketsWritten, sent,
				packets, s.PacketsRemoved)
		}
	}
	// Of what is removed for something newer, nothing was removed for what the disk did not take.
	for mode, least := range map[string]int64{"circular": 8 << 20, "ring": 2 << 20} {
		s, bytes := jobs[mode].Status(), int64(0)
		for _, f := range s.Files {
			bytes += f.Bytes
		}
		if s.FilesRemoved > 0 && bytes < least*9/10 {
			b.Errorf("%s: %d files were removed, and %d bytes are kept", mode, s.FilesRemoved, bytes)
		}
	}
	entries, err := os.ReadDir(b.path)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if !names[e.Name()] {
			b.Errorf("%s is there, and no capture knows of it", e.Name())
		}
	}
}
