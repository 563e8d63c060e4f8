package portload

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/portload/truth"
)

// make packets-score has the whole workload, and writes the page.
var (
	whole = flag.Bool("whole", false, "run the whole workload")
	page  = flag.String("page", "", "the page whose table of packets is replaced")
)

// another begins the classes of the program that the capture of one process does not want.
const another = "another program: "

// An end is an appliance at one end of the workload's cable.
type end struct {
	*appliance.Appliance
	ns    *netnstest.Namespace
	inode uint64
	local []netip.Prefix
}

func newEnd(t *testing.T, address string) *end {
	t.Helper()
	e := &end{ns: netnstest.New(t)}
	info, err := os.Stat(e.ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	e.inode = info.Sys().(*syscall.Stat_t).Ino
	e.local = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix(address + "/32")}
	e.Appliance = appliance.Start(t, appliance.Options{Network: e.ns})
	return e
}

// start begins a capture of all interfaces.
func (e *end) start(name string, more map[string]any) {
	more["name"], more["interfaces"], more["sizeBytes"] = name, []string{"ALL"}, 1<<30
	text, _ := json.Marshal(more)
	var s capture.Status
	e.Ask("op", "packetcapture start", string(text), &s)
}

// stop ends a capture and returns its packets, as tshark reads the file that is taken as pcapng.
func (e *end) stop(t *testing.T, name string) []Packet {
	t.Helper()
	var s capture.Status
	e.Ask("op", "packetcapture stop", fmt.Sprintf(`{"name":%q}`, name), &s)
	e.Ask("op", "packetcapture status", fmt.Sprintf(`{"name":%q}`, name), &s)
	if s.PacketsDropped == nil || *s.PacketsDropped > 0 || len(s.Files) != 1 {
		t.Fatalf("%v dropped, files %+v, beside %+v, %q", s.PacketsDropped, s.Files, s.FilesBeside, s.Error)
	}
	status, text := e.API("op", http.MethodGet, "/v1/files/"+s.Files[0].Name+"?format=pcapng", "")
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	file := filepath.Join(t.TempDir(), name+".pcapng")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	packets, err := ReadPackets(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(packets) != int(s.Files[0].Packets) {
		t.Fatalf("tshark reads %d packets of %d", len(packets), s.Files[0].Packets)
	}
	return packets
}

// TestPacketsNameTheirProcesses: a capture with processes names the process at each end of each
// packet, in both namespaces of the workload, or nobody where that is not sure. A capture of the
// workload's program has exactly its packets, while another program does the same beside it.
func TestPacketsNameTheirProcesses(t *testing.T) {
	t.Parallel()
	netnstest.Tool(t, "tshark")
	l := Load{N: 6, Rate: 1000, Seconds: 0.25}
	if *whole {
		l = Load{N: 30, Rate: 2000, Seconds: 2}
	}
	noise := l
	noise.Classes = "loopback|UDP connected|UDP sendto|MPTCP client|SO_REUSEPORT|child|paced|connections/s"
	dir := t.TempDir()
	program, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "noise")
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, text, 0o755); err != nil {
		t.Fatal(err)
	}
	left, right := newEnd(t, "10.79.0.1"), newEnd(t, "10.79.0.2")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l.Left, l.Right = left.ns.Path(), right.ns.Path()
	noisy := make(chan []truth.Truth, 1)
	var truths []truth.Truth
	left.ns.Do(t, func() {
		truths, _, err = l.Run(ctx, program, func() error {
			left.start("whole", map[string]any{"processes": true})
			left.start("one", map[string]any{"process": "load"})
			right.start("whole", map[string]any{"processes": true})
			go left.ns.Do(t, func() {
				truths, _, err := noise.Run(ctx, other, func() error { return nil })
				if err != nil {
					t.Error(err)
				}
				for i := range truths {
					truths[i].Class = another + truths[i].Class
				}
				noisy <- truths
			})
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	beside := <-noisy
	packets, far := left.stop(t, "whole"), right.stop(t, "whole")
	everybody := slices.Concat(truths, beside)
	score := JudgePackets(packets, everybody, left.inode, left.local)
	score.hold(t)
	JudgePackets(far, truths, right.inode, right.local).hold(t)
	control := JudgePackets(Blame(packets), everybody, left.inode, left.local)
	if sum := control.Sum(); sum.Right > 0 || sum.Wrong != sum.Ends || sum.Named != sum.Nobody {
		t.Errorf("with all processes replaced: %+v", sum)
	}
	left.shows(t, "whole", packets)
	wanted := PacketsOf(packets, everybody, left.inode, left.local, func(t truth.Truth) bool { return !strings.HasPrefix(t.Class, another) })
	taken := map[string]int{}
	for _, p := range left.stop(t, "one") {
		taken[p.Key]++
	}
	line := fmt.Sprintf("`process load`: of its %d packets %d are missing; of %d others %d were taken.\n",
		count(wanted), count(less(wanted, taken)), len(packets)-count(wanted), count(less(taken, wanted)))
	if missing, more := less(wanted, taken), less(taken, wanted); len(missing)+len(more) > 0 {
		t.Errorf("%smissing %v\nmore %v", line, missing, more)
	}
	t.Log(line)
	if *page != "" {
		if err := Replace(*page, "packets", "make packets-score", score.Table(control)+"\n"+line); err != nil {
			t.Error(err)
		}
	}
}

// hold fails the test for any process that is wrong, and for a class that is not all right.
func (s *PacketScore) hold(t *testing.T) {
	t.Helper()
	bad := false
	for _, y := range s.Tallies {
		bad = bad || y.Wrong+y.Named > 0 || y.Right < y.Ends
	}
	if bad || s.Sum().Ends == 0 {
		s.Text(t.Output())
		t.Fail()
	}
}

// shows compares what show says of a capture in JSON with what its file says.
func (e *end) shows(t *testing.T, name string, packets []Packet) {
	t.Helper()
	r := e.Local("packetcapture show " + name + " --json")
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	var shown []struct {
		Sender, Receiver struct {
			PID  int
			Name string `json:"process"`
			Exe  string
		}
	}
	if err := json.Unmarshal([]byte(r.Out), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown) != len(packets) {
		t.Fatalf("show has %d packets of %d", len(shown), len(packets))
	}
	for i, p := range shown {
		sender, receiver := Said(p.Sender), Said(p.Receiver)
		if sender != packets[i].Sender || receiver != packets[i].Receiver {
			t.Fatalf("show says %+v, and the file %+v", p, packets[i])
		}
	}
}

// less returns what is more often in the first than in the second.
func less(all, than map[string]int) map[string]int {
	more := map[string]int{}
	for key, n := range all {
		if n > than[key] {
			more[key] = n - than[key]
		}
	}
	return more
}

func count(all map[string]int) (n int) {
	for _, some := range all {
		n += some
	}
	return n
}
