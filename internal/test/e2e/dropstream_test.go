package e2e_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/udptest"
)

// A stream has the packets that the kernel drops meanwhile among its own, by time and with their
// processes, also while no others come: of interfaces on request, and of a capture with drops.
func TestDropsInAStream(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	need(t, "nft", "nftables")
	b := newBed(t)
	b.do("op", "packetcapture start job interfaces lo drops yes filter 'udp and not port 12'")
	b.ns.Do(t, func() {
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader("add table inet t\nadd chain inet t o { type filter hook output priority 0; }\n" +
			"add rule inet t o udp dport 14 drop\n")
		if out, err := nft.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	})
	want := map[string]int{"17 9 NO_SOCKET": 6, "17 14 NETFILTER_DROP": 3}
	for _, test := range []struct {
		line string
		want map[string]int
	}{
		{"packetcapture stream lo filter 'udp and not port 12' drops yes processes yes packets 6", want},
		{"packetcapture stream name job processes yes packets 6", want},
		{"packetcapture stream name job filter 'udp port 9' processes yes packets 6", map[string]int{"17 9 NO_SOCKET": 6}},
	} {
		t.Run(test.line, func(t *testing.T) {
			session, out := b.Stream("op", test.line)
			text := b.of(t).streamed(out, test.want["17 14 NETFILTER_DROP"])
			if err := session.Wait(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "stream.pcapng")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			drops := filepath.Join(t.TempDir(), "drops.pcapng")
			tool(t, "tshark", "-n", "-r", file, "-Y", `frame.interface_name == "drops"`, "-w", drops)
			said(t, drops, test.want)
			if n := strings.Count(tool(t, "tshark", "-n", "-r", file, "-Y", `frame.interface_name == "lo"`), "\n"); n != 6 {
				t.Errorf("of lo are %d packets", n)
			}
			if times := strings.Fields(tool(t, "tshark", "-r", file, "-T", "fields", "-e", "frame.time_epoch")); !slices.IsSorted(times) {
				t.Errorf("the packets are not in the order of their times: %s", times)
			}
			if s := statisticsOf(t, file); s.blocks != 2 {
				t.Errorf("the statistics are %+v", s)
			}
		})
	}
	// What a capture keeps is left out of its stream where that is said.
	b.do("op", "packetcapture stop job")
	b.do("op", "packetcapture start whole interfaces lo drops yes processes yes filter 'udp and not port 12'")
	session, out := b.Stream("op", "packetcapture stream name whole drops no processes no packets 6")
	text := b.streamed(out, 0) // of none that the kernel drops is told
	if err := session.Wait(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bare.pcapng")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := tool(t, "tshark", "-n", "-r", file, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment")
	if want := strings.Repeat("lo\t\n", 6); got != want {
		t.Errorf("without drops and processes: %q", got)
	}
	if text := b.line("packetcapture stream lo format pcap drops yes", 2); !strings.Contains(text, "pcap has no place") {
		t.Errorf("in pcap: %s", text)
	}
}

// streamed sends datagrams that the kernel drops, and returns the stream of them: to a closed port, to
// one that the filter leaves out, and to one that the firewall forbids. The last one, to the closed
// port, is sent when so many that the firewall dropped have come.
func (b *bed) streamed(out io.Reader, forbidden int) []byte {
	b.t.Helper()
	var text bytes.Buffer
	piece := make([]byte, 64<<10)
	until := func(enough func() bool) {
		for !enough() {
			n, err := out.Read(piece)
			if text.Write(piece[:n]); err != nil {
				b.t.Fatalf("the stream ended after %d bytes: %v", text.Len(), err)
			}
		}
	}
	until(func() bool { return text.Len() > 0 }) // it begins when packets are taken
	b.ns.Do(b.t, func() {
		udptest.Send(b.t, 9, 5)
		udptest.Send(b.t, 12, 2)
		udptest.Send(b.t, 14, 3)
	})
	until(func() bool { return bytes.Count(text.Bytes(), []byte("dropped: NETFILTER_DROP")) >= forbidden })
	b.ns.Do(b.t, func() { udptest.Send(b.t, 9, 1) })
	rest, err := io.ReadAll(out)
	if err != nil {
		b.t.Fatal(err)
	}
	return append(text.Bytes(), rest...)
}

// Packets that come slowly are all in a stream with processes, for which they wait: each part of the
// kernel's ring has a few of them, and there are enough parts.
func TestSlowPacketsOfAStreamWithProcesses(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	b := newBed(t)
	session, out := b.Stream("op", "packetcapture stream lo filter 'udp dst port 9' processes yes duration 5s")
	begin := make([]byte, 1)
	if _, err := io.ReadFull(out, begin); err != nil { // it begins when packets are taken
		t.Fatal(err)
	}
	const datagrams = 200
	b.ns.Do(t, func() {
		for range datagrams {
			udptest.Send(t, 9, 1)
			time.Sleep(10 * time.Millisecond) // the pace of the traffic
		}
	})
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "stream.pcapng")
	if err := os.WriteFile(file, append(begin, rest...), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(tool(t, "tshark", "-n", "-r", file), "\n"); n != datagrams {
		t.Errorf("of %d packets the stream has %d", datagrams, n)
	}
}
