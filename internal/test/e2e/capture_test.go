package e2e_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// Exactly the packets that were asked for, in the file that every client gets, byte for byte what
// was sent.
func TestCapturedIsWhatWasSent(t *testing.T) {
	t.Parallel()
	const packets = 1000
	for _, c := range clients {
		need(t, c.program, c.from)
	}
	need(t, "capinfos", "wireshark-common")
	need(t, "tshark", "tshark")
	b := newBed(t)
	b.do("op", "packetcapture start name exact interface left filter 'udp port 9999' packets "+strconv.Itoa(packets))

	right := b.ns.Frames(t, "right")
	var sent []string
	for n := range packets + 50 {
		payload := make([]byte, 1+rand.IntN(1400))
		for i := range payload {
			payload[i] = byte(rand.Uint32())
		}
		if n < packets {
			sent = append(sent, hex.EncodeToString(payload))
		}
		// What the filter does not want is among them, and more than is wanted comes after them.
		if right.Send(netnstest.UDP(9999, payload)) != nil || n%3 == 0 && right.Send(netnstest.UDP(9998, payload)) != nil {
			t.Fatal("a packet could not be sent")
		}
	}
	await.Until(b.t, "the end of the capture", func() bool { return b.capture("exact").State != capture.Running })
	s := b.capture("exact")
	if s.State != capture.Stopped || s.StopReason != capture.PacketCountReached || s.PacketsWritten != packets || *s.PacketsDropped != 0 || len(s.Files) != 1 {
		t.Fatalf("the capture ended so: %+v", s)
	}
	name := s.Files[0].Name
	content := read(t, b.file(name))

	judged := filepath.Join(t.TempDir(), "judged.pcap")
	for _, c := range clients {
		if c.get == nil {
			continue
		}
		got, r := c.fetch(b, "op", "diagnostic/"+name)
		if r.Status != 0 || !bytes.Equal(got, content) {
			t.Errorf("%s fetched %d bytes of %d: %+v", c.name, len(got), len(content), r)
		}
		if c.name == "sftp" {
			if r := c.get(b, "op", "diagnostic/"+name, judged); r.Status != 0 {
				t.Fatalf("%+v", r)
			}
		}
	}
	if out := tool(t, "capinfos", "-Mc", judged); !strings.Contains(out, "Number of packets:   "+strconv.Itoa(packets)+"\n") {
		t.Errorf("capinfos says:\n%s", out)
	}
	if got := dissected(t, judged); !slices.Equal(got, sent) {
		t.Errorf("tshark sees %d payloads, which are not the %d that were sent", len(got), len(sent))
	}
}
