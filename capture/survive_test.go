package capture_test

import (
	"errors"
	"path/filepath"
	"testing"

	"diagsh/capture"
	"diagsh/internal/netnstest"

	"golang.org/x/sys/unix"
)

// What is left on a full disk.

// smallDisk makes captures go to a file system of so many bytes.
func (b *bed) smallDisk(size string) {
	b.Helper()
	path := b.TempDir()
	if err := unix.Mount("diagsh-test", path, "tmpfs", 0, "size="+size); err != nil {
		netnstest.Missing(b, "a small disk cannot be made: "+err.Error())
	}
	b.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			b.Error(err)
		}
	})
	b.in(path)
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
		if status.StopReason != capture.DiskLow || status.Error == "" || status.PacketsWritten == 0 || status.Files[0].Packets != int64(status.PacketsWritten) {
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
	// There is a look every 4 MiB, and what is on its way to the disk may count twice.
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
