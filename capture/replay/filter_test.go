package replay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/internal/test/netnstest"
)

func noNetwork(capture.Interface) uint32 { return 0 }

// chosen counts the packets of a file that a filter selects.
func chosen(t *testing.T, path string, f *replay.Filter) (n int, s *replay.Source) {
	t.Helper()
	s, err := replay.Options{Match: f.Match}.Open(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	batch := make([]capture.Packet, 256)
	for {
		got, err := s.Read(batch, time.Time{})
		n += got
		if err != nil {
			return n, s
		}
	}
}

// expressions has words of every kind. The compiler's own test covers which of them a link type
// has.
var expressions = []string{
	"tcp", "udp port 53", "host 192.0.2.10", "net 10.0.0.0/8 and not icmp", "ip6", "arp", "less 60", "greater 1000",
	"portrange 1-1024", "ip broadcast", "ip multicast",
	"tcp[tcpflags] & tcp-syn != 0", "vlan", "vlan 100 and ip", "ether host 02:00:00:00:00:0a", "ether multicast",
	"mpls", "ip proto 47", "icmp6", "llc",
	"type mgt subtype beacon", "type data", "wlan addr2 02:00:00:00:00:0a", "inbound", "outbound", "ifindex 2",
}

// TestFiltersOfFilesAreTcpdumps: a filter on a file selects the packets that tcpdump selects, for
// any link type, and rejects what tcpdump rejects. CAPTURES names a directory of more files (make
// captures).
func TestFiltersOfFilesAreTcpdumps(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	tcpdump := netnstest.Tool(t, "tcpdump")
	root, words := os.Getenv("CAPTURES"), expressions
	if root == "" {
		root = filepath.Join("..", "filter", "testdata", "corpus", "packets")
	} else {
		words = []string{"tcp", "udp port 53", "host 10.0.0.1", "ip broadcast", "vlan", "inbound", "type mgt"}
	}
	compared, refused := 0, 0
	filepath.WalkDir(root, func(path string, e fs.DirEntry, _ error) error {
		if !e.Type().IsRegular() || os.Getenv("CAPTURES") == "" && !strings.HasSuffix(path, ".pcap") {
			return nil
		}
		if in, err := os.Open(path); err == nil {
			_, err := pcapfile.NewReader(in)
			in.Close()
			if err != nil {
				return nil
			}
		}
		for _, expression := range words {
			f, err := replay.NewFilter(t.Context(), expression, nil, noNetwork)
			if err != nil {
				t.Fatal(err)
			}
			got, source := chosen(t, path, f)
			out, failed := exec.Command(tcpdump, "-r", path, "--count", expression).Output()
			fault := f.Fault(source.Interfaces(), source.Directed())
			m := regexp.MustCompile(`^(\d+) packets?`).FindSubmatch(out)
			switch {
			case failed != nil && source.Torn() != nil:
				continue // it prints no number
			case failed != nil && fault == nil:
				t.Errorf("%s, %s: tcpdump refuses it, and %d packets are taken", path, expression, got)
			case failed != nil:
				refused++
			case fault != nil:
				t.Errorf("%s, %s: %v, and tcpdump takes %s", path, expression, fault, out)
			case m == nil:
				t.Errorf("%s, %s: tcpdump says %q", path, expression, out)
			default:
				compared++
				if want, _ := strconv.Atoi(string(m[1])); got != want {
					t.Errorf("%s, %s: %d packets, and tcpdump takes %d", path, expression, got, want)
				}
			}
		}
		return nil
	})
	t.Logf("%d numbers compared, %d refused by both", compared, refused)
	if compared < 100 || refused < 20 {
		t.Errorf("only %d numbers were compared, %d refused", compared, refused)
	}
}

// written makes a file of packets.
func written(t *testing.T, format capture.Format, interfaces []capture.Interface, packets []capture.Packet) string {
	t.Helper()
	var content bytes.Buffer
	stream, err := pcapfile.NewStream(&content,
		capture.FileHeader{Format: format, Interfaces: interfaces, SnapLength: capture.MaxSnapLength})
	if err == nil {
		err = stream.Write(packets)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err == nil {
		err = os.WriteFile(path, content.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDirectionsOfFiles: inbound and outbound are answered if a file has directions. Otherwise they
// are rejected, also for a file without a matching packet.
func TestDirectionsOfFiles(t *testing.T) {
	ethernet := []capture.Interface{{Name: "eth0", LinkType: capture.Ethernet}}
	data := make([]byte, 60)
	var packets []capture.Packet
	for _, d := range []capture.Direction{capture.Incoming, capture.Outgoing, capture.IncomingBroadcast,
		capture.Incoming, capture.IncomingOther} {
		packets = append(packets, capture.Packet{Data: data, Length: 60, Direction: d})
	}
	pcapng, pcap := written(t, capture.PCAPNG, ethernet, packets), written(t, capture.PCAP, ethernet, packets)
	for expression, want := range map[string]int{"inbound": 4, "outbound": 1, "not inbound": 1,
		"inbound or outbound": 5, "inbound and greater 100": 0} {
		f, err := replay.NewFilter(t.Context(), expression, nil, noNetwork)
		if err != nil {
			t.Fatal(err)
		}
		got, source := chosen(t, pcapng, f)
		if fault := f.Fault(source.Interfaces(), source.Directed()); got != want || fault != nil ||
			len(f.LeftOut()) != 0 {
			t.Errorf("pcapng, %s: %d packets, %v, %v", expression, got, fault, f.LeftOut())
		}
		f, _ = replay.NewFilter(t.Context(), expression, nil, noNetwork)
		got, source = chosen(t, pcap, f)
		var undirected *replay.UndirectedError
		if fault := f.Fault(source.Interfaces(), source.Directed()); got != 0 || !errors.As(fault, &undirected) {
			t.Errorf("pcap, %s: %d packets, %v", expression, got, fault)
		}
	}
}

// TestDirectionsOfFilesWithoutPackets: a file without packets is rejected as one with packets is,
// also if times select none. A pcapng may have directions, and so has a header of Linux's cooked
// captures.
func TestDirectionsOfFilesWithoutPackets(t *testing.T) {
	for _, c := range []struct {
		format  capture.Format
		link    capture.LinkType
		refused bool
	}{
		{capture.PCAP, capture.Ethernet, true},
		{capture.PCAP, capture.Raw, true},
		{capture.PCAP, capture.LinkType(filter.LinuxSLL), false},
		{capture.PCAP, capture.LinkType(filter.LinuxSLL2), false},
		{capture.PCAPNG, capture.Ethernet, false},
	} {
		for _, packets := range [][]capture.Packet{nil, {{Data: make([]byte, 60), Length: 60}}} {
			path := written(t, c.format, []capture.Interface{{Name: "eth0", LinkType: c.link}}, packets)
			for _, expression := range []string{"inbound", "not outbound"} {
				f, err := replay.NewFilter(t.Context(), expression, nil, noNetwork)
				if err != nil {
					t.Fatal(err)
				}
				source, err := replay.Options{From: time.Unix(1e9, 0),
					Match: f.Match}.Open(func() (io.ReadCloser, error) { return os.Open(path) })
				if err != nil {
					t.Fatal(err)
				}
				if n, err := source.Read(make([]capture.Packet, 1), time.Time{}); n != 0 || err != io.EOF {
					t.Fatalf("%d packets, %v", n, err)
				}
				var undirected *replay.UndirectedError
				if fault := f.Fault(source.Interfaces(), source.Directed()); errors.As(fault,
					&undirected) != c.refused || !c.refused && fault != nil {
					t.Errorf("%s, link type %d, %d packets, %s: %v", c.format, c.link, len(packets), expression, fault)
				}
				source.Close()
			}
		}
	}
}

// TestFilterThatSomePacketsCannotBeAskedAbout: in a file of several link types, packets that a
// filter does not apply to are left out and reported. The filter is rejected if it applies to none.
func TestFilterThatSomePacketsCannotBeAskedAbout(t *testing.T) {
	interfaces := []capture.Interface{{Name: "eth0", LinkType: capture.Ethernet}, {Name: "tun0", LinkType: capture.Raw},
		{Name: "ppi", LinkType: 192}}
	data := make([]byte, 60)
	path := written(t, capture.PCAPNG, interfaces,
		[]capture.Packet{{Data: data, Length: 60}, {Data: data, Length: 60, Interface: 1},
			{Data: data, Length: 60, Interface: 1}, {Data: data, Length: 60, Interface: 2}})
	f, err := replay.NewFilter(t.Context(), "ether host 00:00:00:00:00:00", nil, noNetwork)
	if err != nil {
		t.Fatal(err)
	}
	got, source := chosen(t, path, f)
	left := f.LeftOut()
	if got != 1 || f.Fault(source.Interfaces(), source.Directed()) != nil || len(left) != 2 || left[0].Packets != 2 ||
		!strings.Contains(left[0].Err.Error(), "no Ethernet addresses on link type RAW") ||
		!strings.Contains(left[1].Err.Error(), "no filter can be compiled for link type 192") {
		t.Errorf("%d packets, %v left out, %v", got, left, f.Fault(source.Interfaces(), source.Directed()))
	}
	for _, interfaces := range [][]capture.Interface{interfaces[2:], interfaces[1:]} {
		path := written(t, capture.PCAPNG, interfaces, []capture.Packet{{Data: data, Length: 60}})
		f, _ := replay.NewFilter(t.Context(), "ether host 00:00:00:00:00:00", nil, noNetwork)
		got, source := chosen(t, path, f)
		var wrong *filter.Error
		if fault := f.Fault(source.Interfaces(), source.Directed()); got != 0 || !errors.As(fault, &wrong) {
			t.Errorf("link type %d: %d packets, %v", interfaces[0].LinkType, got, fault)
		}
		empty := written(t, capture.PCAPNG, interfaces[:1], nil)
		f, _ = replay.NewFilter(t.Context(), "ether host 00:00:00:00:00:00", nil, noNetwork)
		if _, source := chosen(t, empty, f); f.Fault(source.Interfaces(), source.Directed()) == nil {
			t.Errorf("link type %d without packets: no fault", interfaces[0].LinkType)
		}
	}
	if _, err := replay.NewFilter(context.Background(), "prot 25", nil, noNetwork); err == nil {
		t.Error("a wrong expression is none")
	}
}
