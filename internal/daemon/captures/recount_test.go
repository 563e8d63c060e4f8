package captures

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/capture/tuples"
	"diagsh/internal/access"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// udpTo returns a UDP packet to a port of 192.0.2.2, with a VLAN tag if it is tagged.
func udpTo(port byte, tagged bool) []byte {
	p := ipv4Packet(17, 0, 0, append([]byte{0x90, 1, 0, port, 0, 8, 0, 0}, make([]byte, 40)...))
	copy(p[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	if tagged {
		return ether(0x8100, append([]byte{0, 7, 8, 0}, p...))
	}
	return ether(0x0800, p)
}

// What filters match is known exactly after kill -9, of whole packets; of packets that were cut it is
// not known, and that is said. A capture that is appended to goes on counting.
func TestCountsSurviveADeath(t *testing.T) {
	filters := tuples.List{{Protocol: "UDP", RemotePort: "53"}, {LocalAddress: "192.0.2.1", RemotePort: "53;54"}}
	for name, c := range map[string]struct {
		filters tuples.List
		snap    int
		want    capture.Counts
	}{
		"whole packets": {filters, 0, capture.Counts{30, 50}},
		"one filter":    {filters[:1], 20, capture.Counts{30}},
		"cut packets":   {filters, 20, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := roomOptions{Dir: t.TempDir(), Hostname: "mx1"}
			b := newBed(t, o)
			s := b.mustStart(ask("ends", capture.Options{Filters: c.filters, SnapLength: c.snap}))
			packets := 50
			if len(c.filters) == 1 {
				packets = 30
			}
			sendAll := func() {
				send(t, b.ns, udpTo(53, false), 20)
				send(t, b.ns, udpTo(53, true), 10)
				send(t, b.ns, udpTo(54, true), 20)
				send(t, b.ns, udpTo(55, false), 20)
			}
			sendAll()
			await.Until(t, "all is in the file", func() bool {
				now, _ := b.d.Capture("ends")
				return now.PacketsWritten == uint64(packets)
			})
			running, _ := b.d.Capture("ends")
			live := capture.Counts{30, 50}[:len(c.filters)]
			if !slices.Equal(running.FilterPackets, live) {
				t.Fatalf("while it runs: %v, want %v", running.FilterPackets, live)
			}
			file := s.Files[0].Name
			size := running.Files[0].Bytes
			await.Until(t, "all is on the disk", func() bool {
				info, err := os.Stat(filepath.Join(o.Dir, "diagnostic", capture.PartName(file)))
				return err == nil && info.Size() >= size
			})
			o.Dir = dead(t, o.Dir)
			b.ns.Do(t, func() { b.d = start(t, o) })
			await.Until(t, "its file is finished", func() bool {
				now, _ := b.d.Capture("ends")
				return now.StopReason == capture.Interrupted && now.PacketsWritten == uint64(packets)
			})
			now, _ := b.d.Capture("ends")
			if !slices.Equal(now.FilterPackets, c.want) {
				t.Fatalf("after kill -9: %v, want %v; %+v", now.FilterPackets, c.want, now.Files)
			}
			b.mustStart(ask("ends", capture.Options{Filters: c.filters, SnapLength: c.snap, Mode: capture.Append}))
			sendAll()
			await.Until(t, "it goes on", func() bool {
				now, _ := b.d.Capture("ends")
				return now.PacketsWritten == 2*uint64(packets)
			})
			now, err := b.d.StopCapture(roomtest.Admin, "ends")
			if want := c.want.Plus(c.want); err != nil || !slices.Equal(now.FilterPackets, want) {
				t.Errorf("at its end: %v, want %v, %v", now.FilterPackets, want, err)
			}
		})
	}
}

// An address that is completed is said where the capture is looked for: in its status, in the audit
// log, and in its file.
func TestFilterThatIsCompleted(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	s := b.mustStart(ask("ends", capture.Options{Format: capture.PCAPNG, Filter: "udp",
		Filters: tuples.List{{RemoteAddress: "1.1.1.1-255.255.255"}}}))
	const remark = "filters[0].remoteAddress: 255.255.255 has three parts, and is taken for 255.255.255.255."
	if len(s.Remarks) != 1 || s.Remarks[0] != remark {
		t.Errorf("%q", s.Remarks)
	}
	if want := "(ip[16:4] >= 0x01010101 or ip[12:4] >= 0x01010101) and (udp)"; !strings.HasSuffix(s.EffectiveFilter, want) {
		t.Errorf("the effective filter is %s", s.EffectiveFilter)
	}
	send(t, b.ns, udpTo(53, false), 3)
	await.Until(t, "they are written", func() bool {
		now, _ := b.d.Capture("ends")
		return now.PacketsWritten == 3
	})
	said := roomtest.Events(t, b.d, access.EventFilter{Act: access.ActSystem, Path: "ends"})
	if len(said) != 1 || !strings.HasSuffix(said[0].Message, remark) {
		t.Errorf("the audit log has %+v", said)
	}
	s, err := b.d.StopCapture(roomtest.Admin, "ends")
	if err != nil || !slices.Equal(s.FilterPackets, capture.Counts{3}) {
		t.Errorf("%v, %v", s.FilterPackets, err)
	}
	text, err := os.ReadFile(filepath.Join(b.d.Table.path, s.Files[0].Name))
	if err != nil || !strings.Contains(string(text), "Note: "+remark) ||
		!strings.Contains(string(text), "Filters: remoteaddress 1.1.1.1-255.255.255") {
		t.Errorf("the file does not say so, %v", err)
	}
}
