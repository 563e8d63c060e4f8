package e2e_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/test/await"
	"diagsh/internal/test/udptest"
)

// What the kernel drops while a capture runs is in a file beside it: each packet that matches the
// filter once, with the reason, the place and the process that sent it. Other programs read the file and keep what it says.
func TestDropsBesideACapture(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	need(t, "mergecap", "wireshark-common")
	need(t, "nft", "nftables")
	b := newBed(t)
	b.do("op", "packetcapture start one interfaces lo drops yes filter 'not port 12'")
	full := 0
	b.ns.Do(t, func() {
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader("add table inet t\nadd chain inet t c { type filter hook input priority 0; }\n" +
			"add rule inet t c udp dport 11 drop\nadd rule inet t c udp dport 13 reject\n" +
			"add chain inet t o { type filter hook output priority 0; }\nadd rule inet t o udp dport 14 drop\n")
		if out, err := nft.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
		udptest.Send(t, 9, 7)
		udptest.Send(t, 11, 3)
		udptest.Send(t, 12, 4) // which the filter leaves out
		udptest.Send(t, 13, 2)
		udptest.Send(t, 14, 2)
		damaged(t)
		for range 5 {
			if c, err := net.Dial("tcp4", "127.0.0.1:9"); err == nil {
				c.Close()
				t.Error("somebody listens")
			}
		}
		full = udptest.Overfill(t)
	})
	b.do("op", "packetcapture stop one")
	s := b.capture("one")
	if len(s.FilesBeside) != 1 || s.FilesBeside[0].Kind != "drops" {
		t.Fatalf("beside it are %+v", s.FilesBeside)
	}
	reasons := map[string]capture.DropReason{}
	for _, r := range s.FilesBeside[0].Reasons {
		if !r.Noise {
			reasons[r.Reason] = r
		}
	}
	for reason, want := range map[string][2]int{"NO_SOCKET": {7 + 5 + 4, 7 + 5}, "NETFILTER_DROP": {3 + 2 + 2, 3 + 2 + 2},
		"SOCKET_RCVBUFF": {full, full}, "TCP_CSUM": {1, 1}} {
		if r := reasons[reason]; r.Packets != uint64(want[0]) || r.Recorded != uint64(want[1]) {
			t.Errorf("%s: %d packets, %d recorded; want %v", reason, r.Packets, r.Recorded, want)
		}
	}
	if text := b.do("ro", "packetcapture status one"); !strings.Contains(text, "NETFILTER_DROP 7 (7 in the file)") {
		t.Errorf("the status says:\n%s", text)
	}
	if text := b.do("op", "packetcapture summary one"); !strings.Contains(text, "DROPPED BY THE KERNEL") {
		t.Errorf("the summary says:\n%s", text)
	}
	file := b.file(s.FilesBeside[0].Name)
	want := map[string]int{"17 9 NO_SOCKET": 7, "6 9 NO_SOCKET": 5, "17 11 NETFILTER_DROP": 3, "17 13 NETFILTER_DROP": 2,
		"17 14 NETFILTER_DROP": 2, "17 SOCKET_RCVBUFF": full, "6 TCP_CSUM": 1}
	said(t, file, want)
	again := filepath.Join(t.TempDir(), "again.pcapng")
	tool(t, "editcap", file, again)
	said(t, again, want)
	merged := filepath.Join(t.TempDir(), "merged.pcapng")
	tool(t, "mergecap", "-w", merged, file, b.file(s.Files[0].Name))
	said(t, merged, want)
	status, joined := b.API("", http.MethodGet, "/v1/files/"+s.Files[0].Name+"?format=pcapng", "")
	if status != http.StatusOK {
		t.Fatalf("the file as pcapng: %d %s", status, joined)
	}
	taken := filepath.Join(t.TempDir(), "taken.pcapng")
	if err := os.WriteFile(taken, []byte(joined), 0o600); err != nil {
		t.Fatal(err)
	}
	said(t, taken, want)
	if times := strings.Fields(tool(t, "tshark", "-r", taken, "-T", "fields", "-e", "frame.time_epoch")); !slices.IsSorted(times) {
		t.Errorf("the packets are not in the order of their times: %s", times)
	}
	if frames := tool(t, "tshark", "-r", taken, "-Y", "!(frame.interface_name == \"drops\")"); strings.Count(frames, "\n") != int(s.PacketsWritten) {
		t.Errorf("of the capture are %d packets; want %d", strings.Count(frames, "\n"), s.PacketsWritten)
	}
}

// A capture that is appended to goes on counting what the kernel drops, in the status and in the file.
func TestDropsOfAnAppendedCapture(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	b := newBed(t)
	for part := 1; part <= 2; part++ {
		b.do("op", "packetcapture start one interfaces lo drops yes mode append")
		b.ns.Do(t, func() { udptest.Send(t, 9, 2*part) })
		b.do("op", "packetcapture stop one")
	}
	s := b.capture("one")
	if len(s.FilesBeside) != 1 {
		t.Fatalf("beside it are %+v", s.FilesBeside)
	}
	want := capture.DropReason{Reason: "NO_SOCKET", Packets: 6, Recorded: 6}
	if !slices.Contains(s.FilesBeside[0].Reasons, want) {
		t.Errorf("the reasons are %+v; want %+v", s.FilesBeside[0].Reasons, want)
	}
	said(t, b.file(s.FilesBeside[0].Name), map[string]int{"17 9 NO_SOCKET": 6})
}

// When the appliance dies, a capture still says the packets that its file of drops has, and one that
// persists counts on.
func TestDropsWhenTheApplianceDies(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.do("op", "packetcapture start once interfaces lo drops yes")
	b.do("op", "packetcapture start on interfaces lo drops yes persistent yes")
	b.ns.Do(t, func() { udptest.Send(t, 9, 4) })
	counts := func(name string, n uint64) bool {
		want := capture.DropReason{Reason: "NO_SOCKET", Packets: n, Recorded: n}
		beside := b.capture(name).FilesBeside
		return len(beside) == 1 && slices.Contains(beside[0].Reasons, want)
	}
	await.Until(t, "the packets to be recorded", func() bool { return counts("once", 4) && counts("on", 4) })
	b.Kill()
	b.Restart()
	if !counts("once", 4) || !counts("on", 4) {
		t.Errorf("%+v, %+v", b.capture("once").FilesBeside, b.capture("on").FilesBeside)
	}
	b.ns.Do(t, func() { udptest.Send(t, 9, 2) })
	b.do("op", "packetcapture stop on")
	if !counts("on", 6) {
		t.Errorf("%+v", b.capture("on").FilesBeside)
	}
}

// said counts by tshark what a file says of the packets that were dropped.
func said(t *testing.T, file string, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	out := tool(t, "tshark", "-n", "-r", file, "-Y", "frame.comment", "-T", "fields", "-E", "separator=|", "-e", "ip.proto", "-e", "udp.dstport",
		"-e", "tcp.dstport", "-e", "frame.interface_name", "-e", "frame.comment")
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		reason, found := strings.CutPrefix(f[4], "dropped: ")
		reason, place, at := strings.Cut(reason, " at ")
		if !found || !at || f[3] != "drops" || !strings.Contains(place, "(interface lo)") {
			t.Fatalf("%s", line)
		}
		if who := fmt.Sprintf("process=%s pid=%d ", own(t), os.Getpid()); !strings.Contains(place, ","+who) {
			t.Errorf("%s is not of %s", line, who)
		}
		port := f[1] + f[2] + " "
		if reason == "SOCKET_RCVBUFF" || reason == "TCP_CSUM" {
			port = "" // it is another each time
		}
		got[f[0]+" "+port+reason]++
	}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("%s: %s %d times, not %d, of %v", filepath.Base(file), key, got[key], n, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %v", filepath.Base(file), got)
	}
	if out := tool(t, "tshark", "-n", "-r", file, "-Y", "_ws.malformed"); out != "" {
		t.Errorf("malformed: %s", out)
	}
}

// own returns the name of this process.
func own(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// damaged sends a segment of a connection whose checksum is wrong.
func damaged(t testing.TB) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	packet := make([]byte, 40)
	packet[0], packet[3], packet[8], packet[9] = 0x45, 40, 64, unix.IPPROTO_TCP
	copy(packet[12:], []byte{127, 0, 0, 1, 127, 0, 0, 1})
	binary.BigEndian.PutUint16(packet[20:], uint16(c.LocalAddr().(*net.TCPAddr).Port))
	binary.BigEndian.PutUint16(packet[22:], uint16(l.Addr().(*net.TCPAddr).Port))
	packet[32], packet[33], packet[36] = 0x50, 0x10, 0xff
	if err := unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
}
