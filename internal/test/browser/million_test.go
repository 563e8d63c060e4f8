package browser_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// million is how many packets the large file has; packet n is from the port portOf(n).
const million = 1_000_000

func portOf(n int) uint16 { return uint16(1024 + n%50_000) }

// writeMillion makes a file of small packets in the diagnostic directory.
func writeMillion(t *testing.T, a *appliance.Appliance, name string) {
	t.Helper()
	f, err := os.Create(filepath.Join(a.Data, "diagnostic", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 64, SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{198, 51, 100, 2}, Protocol: layers.IPProtocolUDP},
		&layers.UDP{DstPort: 9, Length: 8})
	if err != nil {
		t.Fatal(err)
	}
	packet := b.Bytes()
	out := bufio.NewWriterSize(f, 1<<20)
	w := pcapgo.NewWriterNanos(out)
	err = w.WriteFileHeader(1<<16, layers.LinkTypeEthernet)
	info := gopacket.CaptureInfo{Timestamp: time.Date(2026, 3, 1, 10, 15, 0, 0, time.UTC), CaptureLength: len(packet), Length: len(packet)}
	for n := 1; n <= million && err == nil; n++ {
		info.Timestamp = info.Timestamp.Add(time.Millisecond)
		binary.BigEndian.PutUint16(packet[34:], portOf(n)) // behind Ethernet and IPv4
		err = w.WritePacket(info, packet)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file of a million packets is as near as a small one: its end, a number, and a filter's last packet,
// by keyboard. Nothing holds up the page: each step takes little processor time of its main thread.
func TestMillionPackets(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	writeMillion(t, a, "million.pcap")
	p := b.SignedIn(a, "op", browser.Look{})
	const most = time.Second // a page that handled each packet would take many
	before := p.Busy()
	step := func(what string, do func()) {
		do()
		now := p.Busy()
		t.Logf("%s keeps the page busy for %v", what, now-before)
		if now-before > most {
			t.Errorf("%s keeps the page busy for %v, more than %v", what, now-before, most)
		}
		before = p.Busy()
	}
	// shown waits until a packet is the chosen one, in the list as beside it.
	shown := func(n int) {
		p.WaitText(".packet-detail h2", fmt.Sprint("Packet ", n))
		p.Wait("its row", fmt.Sprintf("document.querySelector('.grid-row.selected')?.innerText.includes('192.0.2.1:%d')", portOf(n)))
	}
	step("opening it", func() {
		p.Go("#/captures/million.pcap/packets")
		p.Wait("all packets", "document.querySelector('.counts').innerText === '1,000,000 packets'")
		p.WaitText(".grid-row", fmt.Sprintf("192.0.2.1:%d", portOf(1)))
	})
	p.TabTo("[role=grid]")
	step("going to its end", func() {
		p.Press(kb.End)
		shown(million)
	})
	p.Type("input[aria-label='Go to packet number']", "500000")
	step("going to a number", func() {
		p.Press(kb.Enter)
		shown(500_000)
	})
	p.Type(".packet-bar .filterbox input", "src port 2024") // packet 1,000, and each 50,000th after it
	step("filtering it", func() {
		p.Press(kb.Escape, kb.Enter)
		p.Wait("what the filter selects", "document.querySelector('.counts').innerText === '20 of 1,000,000 packets'")
	})
	p.TabTo("[role=grid]")
	step("going to the filter's end", func() {
		p.Press(kb.End)
		shown(951_000)
	})
}
