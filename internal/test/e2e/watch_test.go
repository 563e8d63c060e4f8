package e2e_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/capture/decode"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// Who watches a running capture sees what it writes, from then on; Ctrl-C ends the watching, and
// not the capture.
func TestWatchARunningCapture(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	right := b.ns.Frames(t, "right")
	b.do("op", "packetcapture start job interface left filter 'udp port 9999'")
	session, out := b.Stream("op", "packetcapture watch job count 3 detail 6 --json filter 'udp'")
	// JSON tells nothing before the first packet.
	seen, sending := make(chan struct{}), make(chan struct{})
	var sent []string
	go func() {
		defer close(sending)
		for n := 0; ; n++ {
			select {
			case <-seen:
				return
			case <-time.After(20 * time.Millisecond):
				payload := fmt.Appendf(nil, "datagram %06d", n)
				right.Send(netnstest.UDP(9999, payload))
				sent = append(sent, fmt.Sprintf("%x", payload))
			}
		}
	}()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var shown []string
	for n := range 3 {
		if !lines.Scan() {
			t.Fatalf("it ended after %d packets", n)
		}
		var p decode.Packet
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		shown = append(shown, p.Bytes[max(0, len(p.Bytes)-30):])
		if p.Number != int64(n+1) || p.Interface != "left" || p.Source != "192.0.2.1" || p.DestinationPort != 9999 || p.Protocol != "UDP" || len(p.Layers) != 3 {
			t.Errorf("packet %d: %s", n, lines.Text())
		}
	}
	if err := session.Wait(); err != nil {
		t.Error(err)
	}
	close(seen)
	<-sending
	if at := slices.Index(sent, shown[0]); at < 0 || at+3 > len(sent) || !slices.Equal(sent[at:at+3], shown) {
		t.Errorf("%q was shown, of %q", shown, sent)
	}
	if s := b.capture("job"); s.State != "Running" {
		t.Errorf("the capture is %s", s.State)
	}
	// What is on the disk so far can be looked at, too.
	await.Until(b.t, "the packets on the disk", func() bool {
		return strings.Count(b.SSH("op", "packetcapture show job").Out, "UDP, length 15") == len(sent)
	})

	person := b.Terminal("op", 100, 30)
	person.Prompted("mx1> ")
	person.Type("packetcapture watch job\r")
	person.Reads("Watching the capture job.")
	load(t, right, 1)
	person.Reads("192.0.2.1.40000 > 192.0.2.2.9999: UDP, length 15")
	person.Type("\x03")
	person.Reads("1 packet shown, 0 packets left out.")
	if s := b.capture("job"); s.State != "Running" || s.PacketsWritten != uint64(len(sent)+1) {
		t.Errorf("the capture is %s and has %d packets", s.State, s.PacketsWritten)
	}
}

// watchJob watches the capture named job. What it returns is read from behind the first line, with
// which the watching has begun.
func (b *bed) watchJob(arguments string) *bufio.Reader {
	b.t.Helper()
	_, out := b.Stream("op", "packetcapture watch job "+arguments)
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); err != nil || !strings.HasPrefix(line, "Watching the capture job.") {
		b.t.Fatalf("%q, %v", line, err)
	}
	return said
}

// A reader that does not read loses lines and is told how many, as text and as JSON; the capture
// loses nothing.
func TestWatchingSlowlyLosesNoPackets(t *testing.T) {
	t.Parallel()
	const packets = 60_000
	b := newBed(t)
	right := b.ns.Frames(t, "right")
	b.do("op", "packetcapture start job interface left filter 'udp port 9999'")
	text := b.watchJob("detail 6")
	_, out := b.Stream("op", "packetcapture watch job detail 6 --json")
	lines := bufio.NewReader(out)
	// JSON tells nothing before the first packet.
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		lines.Peek(1)
	}()
	sent := 0
	send := func() {
		if right.Send(netnstest.UDP(9999, fmt.Appendf(nil, "datagram %06d", sent))) != nil {
			t.Fatal("a packet could not be sent")
		}
		sent++
	}
	await.Until(b.t, "the first packet", func() bool {
		send()
		select {
		case <-begun:
			return true
		default:
			return false
		}
	})
	for range packets {
		send()
	}
	await.Until(b.t, "the packets", func() bool { return b.capture("job").PacketsReceived == uint64(sent) })
	b.do("op", "packetcapture stop job")
	// They read only now.
	leftOut := uint64(0)
	for _, read := range []func() (first, lines, shown, left int){
		func() (int, int, int, int) { return readText(t, text) }, func() (int, int, int, int) { return readJSON(t, lines) },
	} {
		first, lines, shown, left := read()
		t.Logf("%d shown, %d left out", shown, left)
		if lines != shown || first+shown+left != sent || left == 0 {
			t.Errorf("%d lines from datagram %d on, %d shown and %d left out, of %d", lines, first, shown, left, sent)
		}
		leftOut += uint64(left)
	}
	// The status says it of all who watched.
	if s := b.capture("job"); s.PacketsNotShown != leftOut || *s.PacketsMatched != uint64(sent) || *s.PacketsSeen < uint64(sent) || s.PacketsWritten != uint64(sent) || *s.PacketsDropped != 0 {
		t.Errorf("the status says %+v", s)
	}
	if out := b.do("op", "packetcapture status job"); !strings.Contains(out, fmt.Sprintf("Not shown:   %d packets", leftOut)) {
		t.Errorf("the status says\n%s", out)
	}
}

// readText reads what watch writes for people, from datagram 0 on: how many lines have a packet,
// and what the last one says.
func readText(t *testing.T, from *bufio.Reader) (first, lines, shown, left int) {
	t.Helper()
	text, err := io.ReadAll(from)
	m := regexp.MustCompile(`(\d+) packets shown, (\d+) packets left out\.\n$`).FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("the last words are %q, %v", text[max(0, len(text)-200):], err)
	}
	shown, _ = strconv.Atoi(string(m[1]))
	left, _ = strconv.Atoi(string(m[2]))
	return 0, strings.Count(string(text), "192.0.2.2.9999: UDP"), shown, left
}

// readJSON reads what watch writes for programs, from which datagram on, and what its last line
// says. What it said between packets is no more than that.
func readJSON(t *testing.T, from *bufio.Reader) (first, lines, shown, left int) {
	t.Helper()
	missed := 0
	for records := json.NewDecoder(from); ; {
		var r struct {
			Event                         string
			Bytes                         string
			Number, Missed                int
			PacketsShown, PacketsNotShown *int
		}
		if err := records.Decode(&r); err != nil {
			t.Fatalf("behind packet %d: %v", lines, err)
		}
		if r.Event == "statistics" {
			if missed > *r.PacketsNotShown || records.Decode(&r) != io.EOF {
				t.Errorf("%d were missed between packets, of %d; or it is not the last record", missed, *r.PacketsNotShown)
			}
			return first, lines, *r.PacketsShown, *r.PacketsNotShown
		}
		if lines++; lines == 1 {
			number, _ := hex.DecodeString(r.Bytes[max(0, len(r.Bytes)-12):])
			first, _ = strconv.Atoi(string(number))
		}
		if missed += r.Missed; r.Event != "packet" || r.Number != lines {
			t.Errorf("record %d is %+v", lines, r)
		}
	}
}

// The API's answer ends so, too.
func TestWatchByTheAPIEndsWithItsCount(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	status, body := b.API("op", "POST", "/v1/run/packetcapture/watch", `{"interface": ["left"], "duration": "1s"}`)
	if status != 200 || body != `{"event":"statistics","packetsShown":0,"packetsNotShown":0}`+"\n" {
		t.Errorf("%d %q", status, body)
	}
}

// An interface that joins a capture of all has its name where the capture is watched.
func TestWatchNamesAnInterfaceThatJoined(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.do("op", "packetcapture start job interface ALL filter 'udp port 9999'")
	said := b.watchJob("")
	b.ns.Veth(t, "late", "far")
	far := b.ns.Frames(t, "far")
	await.Until(b.t, "a packet of the interface that joined", func() bool {
		load(t, far, 1)
		s := b.capture("job")
		return slices.Contains(s.Interfaces, "late") && s.PacketsWritten > 0
	})
	b.do("op", "packetcapture stop job")
	text, err := io.ReadAll(said)
	if err != nil || !regexp.MustCompile(`(?m)\blate\b.*192\.0\.2\.2\.9999`).Match(text) {
		t.Errorf("it showed %q, %v", text, err)
	}
}

// So has one that joins those that are watched without a capture.
func TestWatchOfAllNamesAnInterfaceThatJoined(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	session, err := b.Login("op").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("packetcapture watch interface ALL filter 'udp port 9999' count 40"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "Watching") {
		t.Fatalf("%q, %v", line, err)
	}
	b.ns.Veth(t, "late", "far")
	far := b.ns.Frames(t, "far")
	ended := make(chan []byte, 1)
	go func() { text, _ := io.ReadAll(lines); ended <- text }()
	var text []byte
	await.Until(b.t, "40 packets of the interfaces that joined", func() bool {
		load(t, far, 1)
		select {
		case text = <-ended:
			return true
		default:
			return false
		}
	})
	if n := len(regexp.MustCompile(`(?m)\blate In\b.*192\.0\.2\.2\.9999`).FindAll(text, -1)); n < 10 || session.Wait() != nil {
		t.Errorf("it showed %q", text)
	}
}

// A caller without payload sees headers alone, wherever the packets come from.
func TestHeadersAloneForSupport(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	right := b.ns.Frames(t, "right")
	client := b.Login("sup")
	for _, line := range []string{"packetcapture watch interface left filter 'udp port 9999' count 1 detail 6", "packetcapture stream left filter 'udp port 9999' packets 1"} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan []byte, 1)
		go func() {
			out, _ := session.Output(line)
			got <- out
		}()
		var out []byte
		await.Until(b.t, "a packet", func() bool {
			load(t, right, 1)
			select {
			case out = <-got:
				return true
			default:
				return false
			}
		})
		if len(out) < 60 || strings.Contains(string(out), "datagram") || slices.Contains(strings.Fields(string(out)), "6461") {
			t.Errorf("%s:\n%q", line, out)
		}
	}
	b.do("op", "packetcapture start job interface left")
	if r := b.SSH("sup", "packetcapture watch job"); r.Status != 3 || r.Out != "" {
		t.Errorf("%+v", r)
	}
}
