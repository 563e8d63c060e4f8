package summary

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/packetfile"
)

// flowsOf lists the flows of a file.
func flowsOf(t testing.TB, path string) *Flows {
	t.Helper()
	r := packetfile.Open(t, path)
	f := NewFlows()
	for n := int64(1); ; n++ {
		var p capture.Packet
		if r.Next(&p) != nil {
			return f
		}
		f.Add(n, &p, r.Interface(p.Interface).LinkType)
	}
}

// theirs returns what tshark's packets add up to, by stream: its first packet, and the packets and
// bytes of the end that sent the first one and of the other, resets and retransmissions.
func theirs(t testing.TB, path string) (list []string) {
	t.Helper()
	out, err := exec.Command(netnstest.Tool(t, "tshark"), "-n", "-r", path, "-T", "fields", "-E", "occurrence=l",
		"-e", "frame.number", "-e", "frame.len", "-e", "tcp.stream", "-e", "udp.stream", "-e", "ip.src", "-e", "ipv6.src",
		"-e", "tcp.srcport", "-e", "udp.srcport", "-e", "tcp.flags.reset", "-e", "tcp.analysis.retransmission").Output()
	if err != nil {
		t.Fatal(err)
	}
	type sums struct {
		first, sender          string
		packets, bytes         [2]int64
		resets, retransmission int64
	}
	all := map[string]*sums{}
	var order []string
	for line := range strings.Lines(string(out)) {
		c := strings.Split(strings.TrimRight(line, "\n"), "\t")
		key, port := "tcp"+c[2], c[6]
		if c[2] == "" {
			key, port = "udp"+c[3], c[7]
		}
		if key == "udp" {
			continue
		}
		sender := c[4] + c[5] + "." + port
		s := all[key]
		if s == nil {
			s = &sums{first: c[0], sender: sender}
			all[key] = s
			order = append(order, key)
		}
		from := 0
		if sender != s.sender {
			from = 1
		}
		length, _ := strconv.ParseInt(c[1], 10, 64)
		s.packets[from]++
		s.bytes[from] += length
		if c[8] == "1" {
			s.resets++
		}
		if c[9] != "" {
			s.retransmission++
		}
	}
	for _, key := range order {
		s := all[key]
		list = append(list, fmt.Sprint(key[:3], " from ", s.first, ": ", s.packets, s.bytes, " resets ", s.resets, " again ", s.retransmission))
	}
	return list
}

// The flows of captures are tshark's streams: packets, bytes, resets and retransmissions. They are
// of connections in which anything happens, and of UDP and what is in tunnels.
func TestFlowsAreTsharks(t *testing.T) {
	r, dice := &recording{}, rand.New(rand.NewPCG(3, 4))
	for connection := range uint16(150) {
		anything(r, dice, connection)
	}
	for _, path := range []string{r.write(t), "../../commands/packetcapture/testdata/slow.pcap"} {
		f := flowsOf(t, path)
		var got []string
		for _, flow := range f.List(FlowsEarliest, 0, f.Total()) {
			if flow.Protocol != "tcp" && flow.Protocol != "udp" {
				continue
			}
			a, b := 0, 1
			if flow.FromServer {
				a, b = b, a
			}
			got = append(got, fmt.Sprint(flow.Protocol, " from ", flow.Position, ": ", [2]int64{flow.Packets[a], flow.Packets[b]},
				[2]int64{flow.Bytes[a], flow.Bytes[b]}, " resets ", flow.Resets, " again ", flow.Retransmissions))
		}
		want := theirs(t, path)
		if len(want) < 10 {
			t.Errorf("%s has %d streams", path, len(want))
		}
		for i := range max(len(got), len(want)) {
			switch {
			case i >= len(got) || i >= len(want):
				t.Fatalf("%s has %d flows, tshark %d", path, len(got), len(want))
			case got[i] != want[i]:
				t.Errorf("%s: %s; tshark: %s", path, got[i], want[i])
			}
		}
	}
}

// More flows than are listed are counted, and nothing else of them is kept.
func TestFlowsAreBounded(t *testing.T) {
	f := NewFlows()
	b := make([]byte, 28)
	b[0], b[3], b[8], b[9], b[12], b[16], b[25] = 0x45, 28, 64, 17, 10, 10, 8
	for n := range maxFlows + 500 {
		b[13], b[14], b[15] = byte(n>>16), byte(n>>8), byte(n)
		f.Add(int64(n)+1, &capture.Packet{Data: b, Length: 28, Time: int64(n)}, capture.Raw)
	}
	if f.Total() != maxFlows || f.Forgotten != 500 || f.Packets != maxFlows+500 {
		t.Errorf("%d flows, %d packets forgotten of %d", f.Total(), f.Forgotten, f.Packets)
	}
	if list := f.List(FlowsLargest, 3, 2); len(list) != 2 || list[0].Position != 4 {
		t.Errorf("%+v", list)
	}
	if list := f.List(FlowsWorst, maxFlows, 5); len(list) != 0 {
		t.Errorf("%d flows after the last", len(list))
	}
}
