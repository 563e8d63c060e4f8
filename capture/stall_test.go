package capture_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/packetfile"
)

// A disk that takes nothing for 200 ms, again and again, costs no packet. The buffers for such
// moments have no pages yet when the first comes. The packets of that time are more than the ring
// holds, so the buffers must hold them. A disk that is slow as such is none of the test's: packets
// come no faster than it takes them between the stalls.
func TestStallingDisk(t *testing.T) {
	const (
		each   = 75 // packets a millisecond, as far as the machine can: 108 MB/s
		length = 1442
		ring   = 16 << 20
		stall  = 200 * time.Millisecond
		slow   = 32 << 20 // more bytes wait for the disk than a stall is the reason of
		stalls = 3
	)
	b := newBed(t)
	disk := b.ext4Disk(512 << 20)
	volume := pcapfile.NewVolume(time.Minute)
	defer volume.ClearSpare()
	files, err := volume.NewFiles(0)
	if err != nil {
		t.Fatal(err)
	}
	job := b.start(spec("right"), func(c *capture.Config) {
		c.Open = afpacket.Options{RingBytes: ring}.Open
		c.Create, c.Release = files.Create, files.Close
		c.Prepare = func() error { return afpacket.Prepare(nil, nil) }
	})
	part, most := filepath.Join(b.path, capture.PartName("capture.pcap")), int64(0)
	waiting := func() int64 {
		info, err := os.Stat(part)
		if err != nil {
			return 0 // nothing is written yet
		}
		return job.Status().BytesWritten - info.Size()
	}
	left := b.wire("left")
	end, sent := make(chan struct{}), 0
	var sending sync.WaitGroup
	sending.Go(func() {
		f := frame(0, length)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			for range each {
				binary.BigEndian.PutUint64(f[14:], uint64(sent))
				left.send(f)
				sent++
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
			for waiting() > slow {
				<-tick.C
			}
		}
	})
	for range stalls {
		written := job.Status().PacketsWritten
		awaitStatus(t, job, "packets come, and the disk takes them", func(s capture.Status) bool {
			return s.PacketsWritten > written+1000 && waiting() < slow/4
		})
		disk.Stall(stall, func() { most = max(most, waiting()) })
	}
	close(end)
	sending.Wait()
	status := b.stop(job)
	if *status.PacketsDropped != 0 || status.PacketsDiscarded != 0 || status.PacketsWritten != uint64(sent) ||
		status.Error != "" {
		t.Errorf("of %d packets: %+v", sent, status)
	}
	t.Logf("%d packets; up to %d MiB waited for the disk", sent, most>>20)
	if most < 8<<20 {
		t.Logf("this machine sent too few packets for the test to say much")
	}
	r := packetfile.Open(t, filepath.Join(b.path, "capture.pcap"))
	var p capture.Packet
	for n := range sent {
		if err := r.Next(&p); err != nil || binary.BigEndian.Uint64(p.Data[14:]) != uint64(n) {
			t.Fatalf("where packet %d should be is %x, %v", n, p.Data[:min(len(p.Data), 22)], err)
		}
	}
}
