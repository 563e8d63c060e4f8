package capture_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"

	"github.com/vishvananda/netlink"
)

// manyLinks adds or removes pairs of interfaces, all at once.
func (b *bed) manyLinks(add bool, prefix string, pairs int) {
	b.Helper()
	b.ns.Do(b, func() {
		for i := range pairs {
			link := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: fmt.Sprintf("%sp%d", prefix, i)}
			link.Name = fmt.Sprintf("%s%d", prefix, i)
			if !add {
				if err := netlink.LinkDel(link); err != nil {
					b.Fatal(err)
				}
				continue
			}
			link.Flags |= net.FlagUp
			if err := netlink.LinkAdd(link); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// numberedSender sends numbered frames, 200 a second, until stop, which returns how many it sent.
func (b *bed) numberedSender(name string) (stop func() (sent int)) {
	w, end, count := b.wire(name), make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			w.send(frame(n, 60))
			select {
			case <-end:
				count <- n + 1
				return
			case <-tick.C:
			}
		}
	}()
	return func() int {
		close(end)
		return <-count
	}
}

// Nothing is lost of a thin stream of packets while more than a hundred rings are opened, while
// interfaces join and go at once, and until the end.
func TestManyInterfaces(t *testing.T) {
	b := newBed(t)
	const there, more = 120, 40
	b.manyLinks(true, "d", there/2)
	s := spec(capture.All)
	s.Format = capture.PCAPNG

	stop := b.numberedSender("left")
	job := b.start(s, b.follow(s),
		func(c *capture.Config) { c.Prepare = func() error { return afpacket.Prepare(nil, nil) } })
	running := time.Now()
	awaitStatus(t, job, "packets come", func(s capture.Status) bool { return s.PacketsWritten > 0 })

	b.manyLinks(true, "late", more/2)
	awaitStatus(t, job, "the new interfaces have joined",
		func(s capture.Status) bool { return len(s.Interfaces) == there+more+3 })
	b.manyLinks(false, "late", more/2)
	written := job.Status().PacketsWritten
	awaitStatus(t, job, "packets come after they went",
		func(s capture.Status) bool { return s.PacketsWritten > written+100 })
	sent := stop()
	status := b.stop(job)
	if *status.PacketsDropped != 0 || status.PacketsWritten != status.PacketsReceived {
		t.Errorf("packets were lost: %+v", status)
	}
	next := -1
	for _, p := range b.read(status.Files[0].Name) {
		number := int(binary.BigEndian.Uint64(p.data[14:]))
		if string(p.data[12:14]) != "\x88\xb5" || p.link > 2 {
			continue // what the kernel sends by itself
		}
		if status.Interfaces[p.link] != "right" {
			continue // of both ends one will do
		}
		if next >= 0 && number != next {
			t.Fatalf("the capture has packet %d behind packet %d, %v after its start", number, next-1,
				p.time.Sub(running))
		}
		next = number + 1
	}
	if next != sent {
		t.Errorf("the last packet is %d of %d", next, sent)
	}
}

// Rings are made and closed side by side: many take a fraction of the time that as many take one
// after the other. Each costs waits for other processors, which go on at the same time, and some
// work, which does not.
func TestManyRingsSideBySide(t *testing.T) {
	b := newBed(t)
	const together, rounds = 63, 3
	b.manyLinks(true, "d", together/2-1)
	// open opens the first of the interfaces and closes them again.
	open := func(n int) time.Duration {
		var took time.Duration
		b.ns.Do(t, func() {
			all, err := afpacket.Resolve([]string{capture.All})
			if err != nil {
				t.Fatal(err)
			}
			taps := make([]capture.Tap, n)
			for i := range taps {
				taps[i] = capture.Tap{Interface: all[i], SnapLength: capture.MaxSnapLength}
			}
			begin := time.Now()
			source, err := afpacket.Options{RingBytes: 2 << 20}.Open(taps)
			if err != nil {
				t.Fatal(err)
			}
			source.Close()
			took = time.Since(begin)
		})
		return took
	}
	var single, all []time.Duration
	for range rounds { // in turns, so that both have the same of what else the machine does
		for range 5 {
			single = append(single, open(1))
		}
		all = append(all, open(together))
	}
	slices.Sort(single)
	slices.Sort(all)
	one, many := single[len(single)/2], all[len(all)/2]
	t.Logf("%v for one, %v for %d: %.2f of as many one after the other", one, many, together,
		float64(many)/float64(one*together))
	if many > one*together/3 {
		t.Errorf("%d interfaces took %v to open and close, and one %v: they were not opened side by side",
			together, many, one)
	}
}
