package summary

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/packetfile"
)

// segment returns a TCP packet from a client to port 25, or back.
func segment(t testing.TB, back bool, client byte, l layers.TCP, data int) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{192, 0, 2, client},
		DstIP: net.IP{192, 0, 2, 200}}
	l.SrcPort, l.DstPort = 40000+layers.TCPPort(client), 25
	if back {
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
		l.SrcPort, l.DstPort = l.DstPort, l.SrcPort
	}
	l.SetNetworkLayerForChecksum(ip)
	buffer := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
			EthernetType: layers.EthernetTypeIPv4}, ip, &l, gopacket.Payload(make([]byte, data)))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(buffer.Bytes())
}

// A trace collects packets a millisecond apart.
type trace struct {
	t       *testing.T
	packets []capture.Packet
	waited  int64
}

// wait adds a second: tshark takes what comes within a round trip for out of order.
func (tr *trace) wait() { tr.waited += 1e9 }

func (tr *trace) add(data []byte) {
	tr.packets = append(tr.packets, capture.Packet{Time: 1_700_000_000e9 + tr.waited + int64(len(tr.packets))*1e6,
		Data: data, Length: uint32(len(data))})
}

func (tr *trace) summary() *Summary {
	c := NewCounter()
	for i := range tr.packets {
		c.Add(&tr.packets[i], capture.Ethernet)
	}
	return c.Summary(10, Slowest)
}

// fares makes count connections, with known numbers of each event in every one.
func fares(t *testing.T, count int) *trace {
	tr := &trace{t: t}
	for n := range count {
		c := byte(n + 1)
		base := uint32(0xfffff000) // numbers wrap around in the middle
		tr.add(segment(t, false, c, layers.TCP{SYN: true, Seq: base, Window: 1000}, 0))
		tr.wait()
		tr.add(segment(t, false, c, layers.TCP{SYN: true, Seq: base, Window: 1000}, 0)) // retransmitted
		tr.add(segment(t, true, c, layers.TCP{SYN: true, ACK: true, Seq: 5, Ack: base + 1, Window: 1000}, 0))
		for i := range uint32(10) {
			tr.add(segment(t, false, c, layers.TCP{ACK: true, Seq: base + 1 + i*1000, Ack: 6, Window: 1000}, 1000))
		}
		for _, i := range []uint32{3, 7, 3} { // retransmitted
			tr.wait()
			tr.add(segment(t, false, c, layers.TCP{ACK: true, Seq: base + 1 + i*1000, Ack: 6, Window: 1000}, 1000))
		}
		tr.add(segment(t, false, c, layers.TCP{ACK: true, Seq: base + 10000, Ack: 6, Window: 1000}, 0))
		tr.add(segment(t, true, c, layers.TCP{ACK: true, Seq: 6, Ack: base + 10001, Window: 0}, 0))
		if n%2 == 0 {
			tr.add(segment(t, true, c, layers.TCP{RST: true, Seq: 6, Window: 0}, 0))
		} else {
			tr.add(segment(t, false, c, layers.TCP{FIN: true, ACK: true, Seq: base + 10001, Ack: 6, Window: 1000}, 0))
		}
	}
	return tr
}

func TestTCP(t *testing.T) {
	const count = 20
	tr := fares(t, count)
	got := tr.summary().TCP
	want := TCP{Packets: int64(len(tr.packets)), Connections: count, Opened: count, Answered: count, Resets: count / 2,
		Ends: count / 2, Retransmissions: 4 * count, TimeoutRetransmissions: 4 * count, KeepAlives: count,
		WindowsFull: count, ZeroWindows: count}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestOutOfOrder: packets that fill a gap are out of order, and no retransmissions.
func TestOutOfOrder(t *testing.T) {
	tr := &trace{t: t}
	for _, i := range []uint32{0, 1, 3, 2, 4} {
		tr.add(segment(t, false, 1, layers.TCP{ACK: true, Seq: 1 + i*100, Window: 1000}, 100))
	}
	if got := tr.summary().TCP; got.OutOfOrder != 1 || got.Retransmissions != 0 {
		t.Errorf("%+v", got)
	}
}

// TestCountsAreTsharks: talkers, protocols and ports are those that tshark counts in the filter's
// corpus.
func TestCountsAreTsharks(t *testing.T) {
	path := filepath.Join("..", "filter", "testdata", "corpus", "packets", "en10mb.pcap")
	r := packetfile.Open(t, path)
	c := NewCounter()
	var p capture.Packet
	for r.Next(&p) == nil {
		c.Add(&p, capture.Ethernet)
	}
	s := c.Summary(1000, Slowest)
	out, err := exec.Command(netnstest.Tool(t, "capinfos"), "-Trcd", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(strings.TrimSpace(string(out)), "\t")
	if fields[1] != strconv.FormatInt(s.Packets, 10) || fields[2] != strconv.FormatInt(s.Bytes, 10) {
		t.Errorf("capinfos says %q, and here are %d packets of %d bytes", fields, s.Packets, s.Bytes)
	}
	sum := int64(0)
	for _, size := range s.Sizes {
		sum += size.Packets
	}
	var protocols int64
	for _, n := range s.Protocols {
		protocols += n.Packets
	}
	var rate int64
	for _, n := range s.Rate.Packets {
		rate += n
	}
	if sum != s.Packets || protocols != s.Packets || rate != s.Packets {
		t.Errorf("of %d packets, %d have a size, %d a protocol, and %d a time", s.Packets, sum, protocols, rate)
	}
}

// TestRate: the parts of the time become longer with it, and nothing is lost.
func TestRate(t *testing.T) {
	for _, step := range []int64{1e3, 1e6, 1e9, 3600e9} {
		var c clock
		for n := range int64(1000) {
			c.add(1_700_000_000e9+n*step, 10)
		}
		r := c.rate()
		var packets, bytes int64
		for i := range r.Packets {
			packets += r.Packets[i]
			bytes += r.Bytes[i]
		}
		if !slices.ContainsFunc(spans, func(s span) bool { return s.Duration == r.Interval() }) {
			t.Errorf("step %d: a part is %v long", step, r.Interval())
		}
		for _, most := range []int{100, 10, 1} {
			packets, bytes := int64(0), int64(0)
			few := r.Within(most)
			for i := range few.Packets {
				packets += few.Packets[i]
				bytes += few.Bytes[i]
			}
			if len(few.Packets) > most || packets != 1000 || bytes != 10000 || few.Interval()%r.Interval() != 0 {
				t.Errorf("step %d: within %d it is %+v", step, most, few)
			}
		}
		if span := float64(len(r.Packets)) * r.IntervalSeconds; packets != 1000 || bytes != 10000 ||
			len(r.Packets) > columns || span < float64(step)/1e9*999 || span > float64(step)/1e9*4000+1 {
			t.Errorf("step %d: %d packets of %d bytes in %d parts of %v s", step, packets, bytes, len(r.Packets),
				r.IntervalSeconds)
		}
	}
}

// TestMemoryIsBounded: of any number of talkers, no more are remembered than the bound says.
func TestMemoryIsBounded(t *testing.T) {
	c := NewCounter()
	data := segment(t, false, 1, layers.TCP{ACK: true}, 0)
	for range maxTalkers + 20_000 {
		*(*[4]byte)(data[26:]) = [4]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()),
			byte(rand.Uint32())}
		c.Add(&capture.Packet{Data: data, Length: uint32(len(data))}, capture.Ethernet)
	}
	if len(c.talkers) > maxTalkers || c.connections.count > maxConnections || c.Summary(1, Slowest).Uncounted == 0 {
		t.Errorf("%d talkers and %d connections", len(c.talkers), c.connections.count)
	}
}

func FuzzAdd(f *testing.F) {
	f.Add(uint16(1), segment(f, false, 1, layers.TCP{SYN: true}, 10))
	f.Add(uint16(101), segment(f, false, 1, layers.TCP{SYN: true}, 10)[14:])
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		c := NewCounter()
		for range 2 {
			c.Add(&capture.Packet{Data: data, Length: uint32(len(data))}, capture.LinkType(link))
		}
		if s := c.Summary(10, Slowest); s.Packets != 2 || fmt.Sprint(s) == "" {
			t.Errorf("%+v", s)
		}
	})
}
