package summary

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/netnstest"
)

// fields maps tshark's names to the figures of TCP.
var fields = []struct {
	name  string
	count func(*TCP) int64
}{
	{"tcp.analysis.retransmission", func(t *TCP) int64 { return t.Retransmissions }},
	{"tcp.analysis.fast_retransmission", func(t *TCP) int64 { return t.FastRetransmissions }},
	{"tcp.analysis.spurious_retransmission", func(t *TCP) int64 { return t.SpuriousRetransmissions }},
	{"tcp.analysis.out_of_order", func(t *TCP) int64 { return t.OutOfOrder }},
	{"tcp.analysis.lost_segment", func(t *TCP) int64 { return t.LostSegments }},
	{"tcp.analysis.ack_lost_segment", func(t *TCP) int64 { return t.UnseenAcknowledged }},
	{"tcp.analysis.duplicate_ack", func(t *TCP) int64 { return t.DuplicateAcknowledgements }},
	{"tcp.analysis.keep_alive", func(t *TCP) int64 { return t.KeepAlives }},
	{"tcp.analysis.keep_alive_ack", func(t *TCP) int64 { return t.KeepAliveAcknowledgements }},
	{"tcp.analysis.zero_window", func(t *TCP) int64 { return t.ZeroWindows }},
	{"tcp.analysis.zero_window_probe", func(t *TCP) int64 { return t.ZeroWindowProbes }},
	{"tcp.analysis.zero_window_probe_ack", func(t *TCP) int64 { return t.ZeroWindowProbeAcknowledgements }},
	{"tcp.analysis.window_update", func(t *TCP) int64 { return t.WindowUpdates }},
	{"tcp.analysis.window_full", func(t *TCP) int64 { return t.WindowsFull }},
	{"tcp.analysis.reused_ports", func(t *TCP) int64 { return t.PortsReused }},
	{"tcp.options.sack.dsack_le", func(t *TCP) int64 { return t.DuplicateSACKs }},
	{"tcp.srcport", func(t *TCP) int64 { return t.Packets }},
}

// A recording is packets on links of many kinds, and a note on each.
type recording struct {
	links   []capture.Interface
	packets []capture.Packet
	about   []string
	now     int64
}

func (r *recording) add(about string, link capture.LinkType, data []byte) *capture.Packet {
	at := slices.IndexFunc(r.links, func(i capture.Interface) bool { return i.LinkType == link })
	if at < 0 {
		at = len(r.links)
		r.links = append(r.links, capture.Interface{Name: fmt.Sprint("link", link), Index: at + 1, LinkType: link})
	}
	r.packets = append(r.packets, capture.Packet{Time: 1_700_000_000e9 + r.now, Data: data, Length: uint32(len(data)),
		Interface: uint32(at)})
	r.about = append(r.about, about)
	return &r.packets[len(r.packets)-1]
}

// write makes a file of the recording.
func (r *recording) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording.pcapng")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := pcapfile.NewStream(f,
		capture.FileHeader{Format: capture.PCAPNG, Interfaces: r.links, SnapLength: capture.MaxSnapLength})
	if err == nil {
		err = s.Write(r.packets)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// compare reports for each packet the figures on which tshark differs.
func (r *recording) compare(t *testing.T, limit int) *Summary {
	t.Helper()
	arguments := []string{"-n", "-r", r.write(t), "-T", "fields", "-e", "frame.number", "-e", "tcp.stream"}
	for _, f := range fields {
		arguments = append(arguments, "-e", f.name)
	}
	out, err := exec.Command(netnstest.Tool(t, "tshark"), arguments...).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(r.packets) {
		t.Fatalf("tshark tells of %d packets, and there are %d", len(lines), len(r.packets))
	}
	c, streams, wrong := NewCounter(), map[string]bool{}, 0
	for n := range r.packets {
		before := c.tcp
		c.Add(&r.packets[n], r.links[r.packets[n].Interface].LinkType)
		columns := strings.Split(lines[n], "\t")
		if columns[0] != strconv.Itoa(n+1) {
			t.Fatalf("packet %d is %q", n+1, lines[n])
		}
		if columns[1] != "" {
			streams[columns[1]] = true
		}
		for at, f := range fields {
			ours, theirs := f.count(&c.tcp) != f.count(&before), columns[2+at] != ""
			if ours != theirs {
				if wrong++; wrong <= limit {
					t.Errorf("packet %d (%s): %s is %v here, and %v in tshark", n+1, r.about[n], f.name, ours, theirs)
				}
			}
		}
	}
	if wrong > limit {
		t.Errorf("and %d more", wrong-limit)
	}
	if int64(len(streams)) != c.tcp.Connections {
		t.Errorf("%d connections here, and %d in tshark", c.tcp.Connections, len(streams))
	}
	return c.Summary(1000, Earliest)
}

// scenario returns packets with a little of everything that happens to a connection, and the time
// before each.
func scenario(connection uint16, v6 bool) (steps []struct {
	wire
	after time.Duration
}) {
	add := func(after time.Duration, w wire) {
		w.connection, w.v6, w.id = connection, v6, uint16(len(steps))
		if w.window == 0 && w.flags&headers.RST == 0 && w.ack != 7 {
			w.window = 1000
		}
		steps = append(steps, struct {
			wire
			after time.Duration
		}{w, after})
	}
	base := uint32(0xffffff00) // numbers wrap around
	from := base + 1
	ack := byte(headers.ACK)
	add(0, wire{flags: headers.SYN, seq: base, options: []byte{2, 4, 5, 180, 3, 3, 7}})
	add(10*time.Millisecond, wire{back: true, flags: headers.SYN | ack, seq: 5, ack: from, options: []byte{3, 3, 2}})
	add(time.Millisecond, wire{flags: ack, seq: from, ack: 6})
	for i := range uint32(3) {
		add(time.Millisecond, wire{flags: ack, seq: from + i*200, ack: 6, data: 200})
	}
	add(time.Millisecond, wire{flags: ack, seq: from + 4*200, ack: 6, data: 200}) // a gap
	add(time.Millisecond, wire{flags: ack, seq: from + 6*200, ack: 6, data: 200}) // and another
	for range 3 {
		add(time.Millisecond, wire{back: true, flags: ack, seq: 6, ack: from + 600})
	}
	add(time.Millisecond, wire{flags: ack, seq: from + 3*200, ack: 6, data: 200})    // fast
	add(50*time.Millisecond, wire{flags: ack, seq: from + 5*200, ack: 6, data: 200}) // late
	add(time.Millisecond, wire{back: true, flags: ack, seq: 6, ack: from + 1400})    //
	add(time.Millisecond, wire{flags: ack, seq: from, ack: 6, data: 200})            // spurious
	add(300*time.Millisecond, wire{flags: ack, seq: from + 1399, ack: 6})            // keep-alive
	add(time.Millisecond, wire{back: true, flags: ack, seq: 6, ack: from + 1400})    // its answer
	// an impossible acknowledgement, and no window
	add(time.Millisecond, wire{back: true, flags: ack, seq: 6, ack: 7})
	add(time.Millisecond, wire{back: true, flags: headers.RST, seq: 6})                   //
	add(time.Second, wire{flags: headers.SYN, seq: 77})                                   // again
	add(time.Millisecond, wire{back: true, flags: headers.RST | ack, seq: 0, ack: 78})    // refused
	add(time.Millisecond, wire{flags: headers.SYN, seq: 77, options: []byte{1, 1, 1, 0}}) // and asked again
	return steps
}

// TestTSharkAgreesOnEveryLink: on each link and in each tunnel, with both address families, TCP's
// figures are tshark's.
func TestTSharkAgreesOnEveryLink(t *testing.T) {
	t.Parallel()
	r := &recording{}
	for n, w := range wrappings {
		for _, v6 := range []bool{false, true} {
			for _, step := range scenario(uint16(n)+1, v6) {
				r.now += int64(step.after)
				r.add(w.name, w.link, w.wrap(step.ip()))
			}
		}
	}
	s := r.compare(t, 20)
	if want := int64(len(wrappings) * 2 * 2); s.TCP.Connections != want {
		t.Errorf("%d connections, want %d", s.TCP.Connections, want)
	}
	if len(s.Unread) > 0 || slices.ContainsFunc(s.Protocols, func(c Count) bool { return c.Name == "other" }) {
		t.Errorf("not read: %+v, %+v", s.Unread, s.Protocols)
	}
}

// TestTSharkAgreesOnAnything: in connections with random events, each packet's figures are
// tshark's.
func TestTSharkAgreesOnAnything(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	r, dice := &recording{}, rand.New(rand.NewPCG(1, 2))
	for connection := range uint16(400) {
		anything(r, dice, connection)
	}
	r.compare(t, 20)
}

// A talk is a connection with an opener and a server that act at random.
type talk struct {
	r          *recording
	dice       *rand.Rand
	connection uint16
	sides      [2]side
	id         uint16
}

type side struct {
	seq, acked, start uint32 // sequence numbers: the next, the acknowledged, the first
	window            uint16
}

// anything adds a talk to the recording.
func anything(r *recording, dice *rand.Rand, connection uint16) {
	t := talk{r: r, dice: dice, connection: connection, sides: [2]side{{window: 500}, {window: 500}}}
	for n := range t.sides {
		t.sides[n].seq = dice.Uint32()
		if dice.IntN(4) == 0 {
			t.sides[n].seq = -dice.Uint32N(3000) // wraps around soon
		}
		t.sides[n].start = t.sides[n].seq
	}
	if dice.IntN(3) > 0 { // else it began before the capture
		t.open()
	}
	t.sides[0].acked, t.sides[1].acked = t.sides[1].seq, t.sides[0].seq
	for range 10 + dice.IntN(40) {
		t.step()
	}
}

func (t *talk) send(from int, flags byte, seq, ack uint32, data int, options ...byte) {
	t.r.now += []int64{10e3, 100e3, 1e6, 2e6, 5e6, 25e6, 250e6}[t.dice.IntN(7)]
	t.id++
	w := wire{connection: t.connection, back: from == 1, v6: t.connection%2 == 1, flags: flags, seq: seq, ack: ack,
		window: t.sides[from].window, options: options, data: data, id: t.id}
	t.r.add(fmt.Sprint("connection ", t.connection), 1, ethernet(w.ip()))
}

// scale returns an option with a window scale, or nothing.
func (t *talk) scale() []byte {
	if t.dice.IntN(2) == 0 {
		return nil
	}
	return []byte{3, 3, byte(t.dice.IntN(9))}
}

// open does the handshake.
func (t *talk) open() {
	a, b := &t.sides[0], &t.sides[1]
	t.send(0, headers.SYN, a.seq, 0, 0, t.scale()...)
	for t.dice.IntN(3) == 0 {
		t.send(0, headers.SYN, a.seq, 0, 0)
	}
	t.send(1, headers.SYN|headers.ACK, b.seq, a.seq+1, 0, t.scale()...)
	a.seq, b.seq = a.seq+1, b.seq+1
	a.acked, b.acked = b.seq, a.seq
	t.send(0, headers.ACK, a.seq, b.seq, 0)
}

// step sends the packets of one random event.
func (t *talk) step() {
	from := t.dice.IntN(2)
	me, other := &t.sides[from], &t.sides[1-from]
	size := []int{0, 1, 2, 100, 500}[t.dice.IntN(5)]
	switch t.dice.IntN(20) {
	case 0, 1, 2, 3:
		t.send(from, headers.ACK|headers.PSH, me.seq, me.acked, size)
		me.seq += uint32(size)
	case 4, 5: // what was sent before
		t.send(from, headers.ACK, me.seq-t.dice.Uint32N(min(me.seq-me.start, 1200)+1), me.acked, size)
	case 6: // lost before the capture
		me.seq += uint32(size)
	case 7, 8, 9:
		me.acked = other.seq
		t.send(from, headers.ACK, me.seq, me.acked, 0)
	case 10, 11:
		for range 1 + t.dice.IntN(4) {
			t.send(from, headers.ACK, me.seq, me.acked, 0)
		}
	case 12: // right after it, what it asks for
		t.send(1-from, headers.ACK, me.acked, other.acked, size)
	case 13:
		t.send(from, headers.ACK, me.seq-1, me.acked, t.dice.IntN(2))
	case 14:
		me.window = 0
		t.send(from, headers.ACK, me.seq, me.acked, 0)
		t.send(1-from, headers.ACK, other.seq, other.acked, 1)
		t.send(from, headers.ACK, me.seq, me.acked, 0)
	case 15:
		me.window = uint16(100 * t.dice.IntN(10))
		t.send(from, headers.ACK, me.seq, me.acked, 0)
	case 16: // up to the edge of the window
		t.send(from, headers.ACK, me.seq, me.acked, int(other.window))
		me.seq += uint32(other.window)
	case 17:
		left := me.acked + t.dice.Uint32N(300)
		t.send(from, headers.ACK, me.seq, me.acked, 0, sack(left-100, left+100, me.acked, left+200)...)
	case 18:
		t.send(from, headers.FIN|headers.ACK, me.seq, me.acked, 0)
		if t.dice.IntN(2) == 0 {
			me.seq++
		}
	case 19:
		switch t.dice.IntN(3) {
		case 0:
			t.send(from, headers.RST|headers.ACK, me.seq, me.acked, 0)
		case 1:
			t.send(from, headers.RST, me.seq, 0, 0)
		case 2: // the ports are used again
			t.sides[0].seq, t.sides[1].seq = t.dice.Uint32(), t.dice.Uint32()
			t.sides[0].start, t.sides[1].start = t.sides[0].seq, t.sides[1].seq
			t.open()
		}
	}
}

func sack(edges ...uint32) []byte {
	b := []byte{1, 1, 5, byte(2 + 4*len(edges))}
	for _, e := range edges {
		b = append(b, byte(e>>24), byte(e>>16), byte(e>>8), byte(e))
	}
	return b
}
