package capture_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/netnstest"

	"golang.org/x/sys/unix"
)

// What is left after a death or on a full disk.

// childDir, in the environment, makes the test binary a capture of right into that
// directory, in the format of childFormat, until it is killed.
const (
	childDir    = "CAPTURE_TEST_DIR"
	childFormat = "CAPTURE_TEST_FORMAT"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childDir); path != "" {
		captureUntilKilled(path, capture.Format(os.Getenv(childFormat)))
	}
	os.Exit(m.Run())
}

func captureUntilKilled(path string, format capture.Format) {
	// The main goroutine is on the main thread, which is in the namespace like all.
	s := spec("right")
	s.Format = format
	dir, err := os.OpenRoot(path)
	if err != nil {
		panic(err)
	}
	interfaces, err := afpacket.Resolve(s.Interfaces)
	if err != nil {
		panic(err)
	}
	_, err = capture.Start(capture.Config{
		Spec: s, Interfaces: interfaces, Open: afpacket.Options{}.Open, Create: pcapfile.Create, Dir: dir, FileName: "capture",
	})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("started")
	select {}
}

func TestKilledCaptureIsWholeUpToTheLastSecond(t *testing.T) {
	b := newBed(t)
	left := b.wire("left")
	for round := range 4 {
		format := []capture.Format{capture.PCAP, capture.PCAPNG}[round%2]
		b.in(t.TempDir())

		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+b.path, childFormat+"="+string(format))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		b.ns.Do(t, func() { err = child.Start() })
		if err != nil {
			t.Fatal(err)
		}
		if n, err := out.Read(make([]byte, 7)); n == 0 {
			t.Fatalf("the child does not start: %v", err)
		}

		// Slow rounds end in the page cache, fast ones go by way of direct writes.
		pause := []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 500 * time.Microsecond, 500 * time.Microsecond}[round]
		life := 1100*time.Millisecond + rand.N(700*time.Millisecond)
		begin := time.Now()
		var sent []time.Duration
		for time.Since(begin) < life {
			for range 20 {
				sent = append(sent, time.Since(begin))
				left.send(killedFrame(len(sent) - 1))
			}
			time.Sleep(pause)
		}
		killed := time.Since(begin)
		child.Process.Kill()
		child.Wait()

		b.filesAre(".capture.part")
		part := filepath.Join(b.path, ".capture.part")
		info, err := pcapfile.Repair(part)
		if err != nil {
			t.Fatal(err)
		}
		name := "capture." + string(format)
		if err := os.Rename(part, filepath.Join(b.path, name)); err != nil {
			t.Fatal(err)
		}
		got := b.read(name)
		must := 0
		for must < len(sent) && sent[must] < killed-time.Second {
			must++
		}
		t.Logf("%s: %d packets of %d sent, of which %d had to be there", format, len(got), len(sent), must)
		if len(got) < must || len(got) > len(sent) || info.Packets != int64(len(got)) {
			t.Fatalf("the file has %d packets, and %+v", len(got), info)
		}
		for i, p := range got {
			if !bytes.Equal(p.data, killedFrame(i)) {
				t.Fatalf("packet %d is %x", i, p.data)
			}
		}
		wireshark(t, filepath.Join(b.path, name), len(got))
	}
}

func killedFrame(i int) []byte { return frame(i, 60+i%1400) }

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
