package capture_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"

	"github.com/vishvananda/netlink"
)

// manyLinks makes so many pairs of interfaces at once, or removes them.
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

// numberedSender sends numbered frames, 200 a second, until it is told to stop, and then tells how many.
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

// Nothing is lost of a thin stream of packets while more than a hundred rings are opened, while interfaces join and go at once, and
// until the end.
func TestManyInterfaces(t *testing.T) {
	b := newBed(t)
	const there, more = 120, 40
	b.manyLinks(true, "d", there/2)
	s := spec(capture.All)
	s.Format = capture.PCAPNG

	stop := b.numberedSender("left")
	begin := time.Now()
	job := b.start(s, b.follow(s), func(c *capture.Config) { c.Prepare = func() error { return afpacket.Prepare(nil, nil) } })
	opening := time.Since(begin)
	running := time.Now()
	await(t, job, "packets come", func(s capture.Status) bool { return s.PacketsWritten > 0 })

	b.manyLinks(true, "late", more/2)
	await(t, job, "the new interfaces have joined", func(s capture.Status) bool { return len(s.Interfaces) == there+more+3 })
	b.manyLinks(false, "late", more/2)
	written := job.Status().PacketsWritten
	await(t, job, "packets come after they went", func(s capture.Status) bool { return s.PacketsWritten > written+100 })
	sent := stop()
	begin = time.Now()
	status := b.stop(job)
	closing := time.Since(begin)

	if opening > time.Second || closing > time.Second {
		t.Errorf("%d interfaces took %v to open and %v to close", there+3, opening, closing)
	}
	if status.PacketsDropped != 0 || status.PacketsWritten != status.PacketsReceived {
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
			t.Fatalf("the capture has packet %d behind packet %d, %v after its start", number, next-1, p.time.Sub(running))
		}
		next = number + 1
	}
	if next != sent {
		t.Errorf("the last packet is %d of %d", next, sent)
	}
}
