package capture_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/disktest"
)

// What a disk has when the power fails: what was written to it, and nothing of the kernel's caches
// and the journal's.

func TestPowerCut(t *testing.T) {
	t.Parallel()
	for point := range max(killPoints()/8, 2) {
		format := []capture.Format{capture.PCAP, capture.PCAPNG}[point%2]
		t.Run(fmt.Sprintf("%d/%s", point, format), func(t *testing.T) {
			b := newBed(t)
			b.cutPower(b.ext4Disk(160<<20), uint64(point), format)
		})
	}
}

// cutPower runs captures in every mode on a disk, cuts its power at a time that depends on the
// seed, and checks the files.
func (b *bed) cutPower(disk *disktest.Disk, seed uint64, format capture.Format) {
	random := rand.New(rand.NewPCG(seed, 8))
	left := b.wire("left")
	before := b.appendable(format, left)
	specs := filledSpecs(format)
	jobs := map[string]*capture.Job{}
	for _, s := range specs {
		jobs[s.Name] = b.start(s, func(c *capture.Config) {
			files, err := pcapfile.NewFiles(16 << 20)
			if err != nil {
				b.Fatal(err)
			}
			c.FileName = s.Name + format.Extension()
			c.Create, c.Append, c.Release = files.Create, files.Append, files.Close
			if s.Mode == capture.Append {
				c.Before = &before
			}
		})
	}

	// Slow traffic ends in the page cache, fast traffic goes by way of direct writes.
	pause := []time.Duration{time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond}[random.IntN(3)]
	life := time.Duration(1000+random.IntN(1200)) * time.Millisecond
	number, must := 0, 0
	var sent []time.Duration
	begin := time.Now()
	for time.Since(begin) < life {
		for range 20 {
			sent = append(sent, time.Since(begin))
			left.send(killedFrame(number))
			number++
		}
		time.Sleep(pause)
	}
	cut := time.Since(begin)
	disk.CutPower()
	for must < number && sent[must] < cut-time.Second {
		must++
	}
	for mode, job := range jobs {
		left.send(killedFrame(number)) // so that each tries to write
		if s := b.wait(job); s.StopReason != capture.FileError || s.State != capture.Error {
			b.Errorf("%s, whose disk is gone, ended as %s: %s", mode, s.StopReason, s.Error)
		}
	}
	b.dir.Close()
	disk.PowerUp()
	b.in(b.path)

	for _, s := range specs {
		names := b.repaired(s.Name + format.Extension())
		next, packets, bytes := -1, 0, int64(0)
		for _, name := range names {
			got := b.read(name)
			for i, p := range got {
				if s.Mode == capture.Append && packets+i < appended {
					if !sameFrame(p.data, packets+i) {
						b.Fatalf("%s: packet %d of what was there before is another one", name, packets+i)
					}
					continue
				}
				if next < 0 {
					next = int(frameNumber(p.data))
				}
				if !sameFrame(p.data, next) {
					b.Fatalf("%s: where packet %d should be is\n%.200x", name, next, p.data)
				}
				next++
			}
			packets += len(got)
			info, err := os.Stat(filepath.Join(b.path, name))
			if err != nil {
				b.Fatal(err)
			}
			bytes += info.Size()
			wireshark(b, filepath.Join(b.path, name), len(got))
		}
		next = max(next, 0)
		b.Logf("%s: %d packets in %d files, up to %d of %d sent; up to %d had to be there", s.Name, packets, len(names),
			next, number, must)
		if next < must || next > number {
			b.Errorf("%s: the last packet is %d; %d were sent, %d of them a second before the end", s.Name,
				next, number, must)
		}
		first := 0
		if s.Mode == capture.Append {
			first = appended
		}
		kept := map[capture.Mode]int64{capture.Circular: s.Limits.SizeBytes * 8 / 10,
			capture.Ring: (s.Rotation.KeepFiles - 1) * s.Rotation.FileBytes * 9 / 10}[s.Mode]
		if packets < next+first && (kept == 0 || bytes < kept) {
			b.Errorf("%s: of %d packets %d are kept, in %d bytes", s.Name, next+first, packets, bytes)
		}
	}
}
