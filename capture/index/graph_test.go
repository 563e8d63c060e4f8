package index

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/replay"
	"diagsh/internal/test/netnstest"
)

var ioLine = regexp.MustCompile(`^\| *([\d.]+) <> *(\S+) *\| *(\d+) \| *(\d+) \| *(\d+) \| *(\d+) \| *(\d+) \| *(\d+) \|`)

// A graph is tshark's, for several filters in one pass.
func TestGraphIsTsharks(t *testing.T) {
	path := "../../commands/packetcapture/testdata/slow.pcap"
	out, err := exec.Command(netnstest.Tool(t, "tshark"), "-n", "-q", "-r", path, "-z", "io,stat,2,,tcp,udp.port==53").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [3]Series
	for line := range strings.Lines(string(out)) {
		m := ioLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for i := range want {
			var packets, bytes int64
			fmt.Sscan(m[3+2*i], &packets)
			fmt.Sscan(m[4+2*i], &bytes)
			want[i].Packets, want[i].Bytes = append(want[i].Packets, packets), append(want[i].Bytes, bytes)
		}
	}
	if len(want[0].Packets) != 7 {
		t.Fatalf("tshark has %d parts:\n%s", len(want[0].Packets), out)
	}
	v := open(t, library(t), 0, source(path))
	p := wait(t, v, nil)
	matchers := []Matcher{nil}
	// what is in tunnels is in tshark's filters too
	for _, text := range []string{"tcp or udp port 4789", "udp port 53"} {
		f, err := replay.NewFilter(t.Context(), text, filter.SystemNames(), func(capture.Interface) uint32 { return 0 })
		if err != nil {
			t.Fatal(err)
		}
		matchers = append(matchers, f)
	}
	got, err := v.Graph(t.Context(), time.Unix(0, p.Earliest), 2*time.Second, 7, matchers)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !slices.Equal(got[i].Packets, want[i].Packets) || !slices.Equal(got[i].Bytes, want[i].Bytes) {
			t.Errorf("series %d is %v, tshark's %v", i, got[i], want[i])
		}
	}
	// a part of the time, from the middle of a part
	part, err := v.Graph(t.Context(), time.Unix(0, p.Earliest+2_000_000_000), 2*time.Second, 2, matchers)
	if err != nil {
		t.Fatal(err)
	}
	for i := range part {
		if !slices.Equal(part[i].Packets, want[i].Packets[1:3]) {
			t.Errorf("series %d of a part is %v, want %v", i, part[i].Packets, want[i].Packets[1:3])
		}
	}
}
