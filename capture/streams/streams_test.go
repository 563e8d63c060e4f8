package streams

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/capture/index"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/netnstest"
)

// A wire makes packets of IP.
type wire struct {
	packets []capture.Packet
	now     int64
	id      uint16
}

func (w *wire) put(b []byte) {
	w.now += 1e6
	w.packets = append(w.packets, capture.Packet{Time: 1_700_000_000e9 + w.now, Data: b, Length: uint32(len(b))})
}

// ip puts a header before what is in IP. With six it is one of IPv6.
func (w *wire) ip(six bool, protocol byte, from, to byte, inside []byte) []byte {
	if six {
		b := make([]byte, 40, 40+len(inside))
		b[0], b[6], b[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(inside)))
		b[8], b[23], b[24], b[39] = 0xfd, from, 0xfd, to
		return append(b, inside...)
	}
	w.id++
	b := make([]byte, 20, 20+len(inside))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(inside)))
	binary.BigEndian.PutUint16(b[4:], w.id)
	b[12], b[15], b[16], b[19] = 10, from, 10, to
	return append(b, inside...)
}

func tcp(source, target uint16, seq, ack uint32, flags byte, data []byte) []byte {
	b := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(b, source)
	binary.BigEndian.PutUint16(b[2:], target)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 0x50, flags
	binary.BigEndian.PutUint16(b[14:], 60000)
	return append(b, data...)
}

func udp(source, target uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, source)
	binary.BigEndian.PutUint16(b[2:], target)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return append(b, data...)
}

// cut cuts a packet of IPv4 into fragments.
func cut(b []byte, size int) (list [][]byte) {
	inside := b[20:]
	for at := 0; at < len(inside); at += size {
		part := append(slices.Clone(b[:20]), inside[at:min(at+size, len(inside))]...)
		binary.BigEndian.PutUint16(part[2:], uint16(len(part)))
		word := uint16(at / 8)
		if at+size < len(inside) {
			word |= 0x2000
		}
		binary.BigEndian.PutUint16(part[6:], word)
		list = append(list, part)
	}
	return list
}

// A talk is a connection whose segments are lost, doubled, cut otherwise and out of order.
type talk struct {
	w        *wire
	random   *rand.Rand
	six      bool
	port     uint16
	seq      [2]uint32
	acked    [2]uint32 // what each has told the other that it has
	loss     float64
	disorder float64
}

// say sends data from one end, in segments.
func (t *talk) say(from int, data []byte) {
	ends, ports := [2]byte{1, 2}, [2]uint16{t.port, 80}
	type part struct {
		seq  uint32
		data []byte
	}
	var parts []part
	for at := 0; at < len(data); {
		n := min(1+t.random.IntN(700), len(data)-at)
		parts = append(parts, part{t.seq[from] + uint32(at), data[at : at+n]})
		if t.random.Float64() < t.disorder { // again, with other limits
			a := max(0, at-t.random.IntN(500))
			e := min(len(data), at+t.random.IntN(900))
			if e > a {
				parts = append(parts, part{t.seq[from] + uint32(a), data[a:e]})
			}
		}
		at += n
	}
	for i := range parts {
		if j := i + t.random.IntN(3); j < len(parts) && t.random.Float64() < t.disorder {
			parts[i], parts[j] = parts[j], parts[i]
		}
	}
	t.seq[from] += uint32(len(data))
	high := t.seq[from] - uint32(len(data))
	for _, p := range parts {
		if end := p.seq + uint32(len(p.data)); after(end, high) {
			high = end
		}
		if t.random.Float64() >= t.loss {
			t.w.put(t.w.ip(t.six, 6, ends[from], ends[1-from], tcp(ports[from], ports[1-from], p.seq, t.acked[from], headers.ACK|headers.PSH, p.data)))
		}
	}
	t.acked[1-from] = t.seq[from]
	t.w.put(t.w.ip(t.six, 6, ends[1-from], ends[from], tcp(ports[1-from], ports[from], t.seq[1-from], t.acked[1-from], headers.ACK, nil)))
}

// connect begins a connection.
func (w *wire) connect(random *rand.Rand, six bool, port uint16, loss, disorder float64) *talk {
	t := &talk{w: w, random: random, six: six, port: port, seq: [2]uint32{random.Uint32(), random.Uint32() | 0xfffff000}, loss: loss, disorder: disorder}
	w.put(w.ip(six, 6, 1, 2, tcp(port, 80, t.seq[0], 0, headers.SYN, nil)))
	t.seq[0]++
	t.acked[1] = t.seq[0]
	w.put(w.ip(six, 6, 2, 1, tcp(80, port, t.seq[1], t.acked[1], headers.SYN|headers.ACK, nil)))
	t.seq[1]++
	t.acked[0] = t.seq[1]
	w.put(w.ip(six, 6, 1, 2, tcp(port, 80, t.seq[0], t.acked[0], headers.ACK, nil)))
	return t
}

// write makes a file of the packets.
func (w *wire) write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wire.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := pcapfile.NewStream(f, capture.FileHeader{Format: capture.PCAPNG, SnapLength: capture.MaxSnapLength,
		Interfaces: []capture.Interface{{Name: "tun0", LinkType: capture.Raw}}})
	if err == nil {
		err = s.Write(w.packets)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// view opens a file.
func view(t testing.TB, path string) *index.View {
	t.Helper()
	l := index.NewLibrary(1 << 20)
	t.Cleanup(l.Close)
	v, err := l.Open(0, false, index.Source{Name: path, Stat: func() (fs.FileInfo, error) { return os.Stat(path) },
		Open: func() (*os.File, error) { return os.Open(path) }})
	if err == nil {
		_, err = v.Wait(t.Context(), nil, -1, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A turn is what one end said before the other did.
type turn struct {
	from int
	data string
}

// follow returns what is in the stream of a packet, in pages of that size. A gap is in it as in
// tshark's output.
func follow(t testing.TB, v *index.View, position int64, most int) (list []turn) {
	t.Helper()
	p, err := v.Packet(position)
	if err != nil || p == nil {
		t.Fatalf("packet %d: %v", position, err)
	}
	s, ok := Of(&p.Packet, p.On.LinkType)
	if !ok {
		t.Fatalf("packet %d is of no stream", position)
	}
	if _, err := v.Wait(t.Context(), s.Filter(), -1, nil); err != nil {
		t.Fatal(err)
	}
	s, begin, err := s.Begin(t.Context(), v, position)
	if err != nil {
		t.Fatal(err)
	}
	var offsets [2]int64
	for cursor, pages := (Cursor{}), 0; ; pages++ {
		page, err := s.Follow(t.Context(), v, begin, cursor, most, true)
		if err != nil || pages > 1_000_000 {
			t.Fatal(err)
		}
		for _, c := range page.Chunks {
			if c.Offset != offsets[c.From] {
				t.Fatalf("a chunk at %d, want %d", c.Offset, offsets[c.From])
			}
			data := string(c.Data)
			if offsets[c.From] += int64(len(c.Data)) + c.Missing; c.Missing > 0 {
				data = fmt.Sprintf("[%d bytes missing in capture file]\x00", c.Missing)
			}
			if len(list) > 0 && list[len(list)-1].from == c.From {
				list[len(list)-1].data += data
			} else {
				list = append(list, turn{c.From, data})
			}
		}
		if !page.More {
			return list
		}
		text := page.Next.String()
		if cursor, err = ParseCursor(text); err != nil {
			t.Fatal(err)
		}
	}
}

// tshark returns what tshark makes of the first streams.
func tshark(t testing.TB, path, kind string, streams int) [][]turn {
	t.Helper()
	arguments := []string{"-n", "-q", "-r", path}
	for n := range streams {
		arguments = append(arguments, "-z", fmt.Sprintf("follow,%s,raw,%d", kind, n))
	}
	out, err := exec.Command(netnstest.Tool(t, "tshark"), arguments...).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]turn, streams)
	for _, part := range strings.Split(string(out), "Follow: "+kind+",raw\n")[1:] {
		var list []turn
		var number int
		if _, err := fmt.Sscanf(part, "Filter: "+kind+".stream eq %d", &number); err != nil {
			t.Fatalf("%.100s: %v", part, err)
		}
		for _, line := range strings.Split(part, "\n") {
			from := 0
			text, is := strings.CutPrefix(line, "\t")
			if is {
				from = 1
			}
			data, err := hex.DecodeString(text)
			if err != nil || text == "" {
				continue
			}
			if len(list) > 0 && list[len(list)-1].from == from {
				list[len(list)-1].data += string(data)
			} else {
				list = append(list, turn{from, string(data)})
			}
		}
		all[number] = list
	}
	return all
}

func same(t *testing.T, what string, got, want []turn) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		var a, b turn
		if i < len(got) {
			a = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if a != b {
			n := 0
			for n < len(a.data) && n < len(b.data) && a.data[n] == b.data[n] {
				n++
			}
			t.Errorf("%s: turn %d differs at byte %d: from %d, %d bytes, %.60q; tshark: from %d, %d bytes, %.60q", what, i, n,
				a.from, len(a.data), a.data[n:], b.from, len(b.data), b.data[n:])
			return
		}
	}
}

// said returns bytes that are easily told apart.
func said(random *rand.Rand, n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%d,", random.IntN(1e6))
	}
	return b.Bytes()[:n]
}

// What two ends said is what tshark finds, byte by byte, in any order and with gaps, whatever the
// size of the pages is.
func TestStreamsAreTsharks(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	w := &wire{}
	const streams = 30
	var talks []*talk
	var begins []int64
	for n := range streams {
		begins = append(begins, int64(len(w.packets))+1)
		talks = append(talks, w.connect(random, n%3 == 2, uint16(40000+n), []float64{0, 0, 0.05}[n%3*(n%2)], float64(n%4)*0.1))
	}
	for range 400 {
		talk := talks[random.IntN(len(talks))]
		talk.say(random.IntN(2), said(random, random.IntN(4000)))
	}
	// The ends get what they wait for: tshark leaves out what still waits at the end of a file.
	for _, talk := range talks {
		talk.loss, talk.disorder = 0, 0
		talk.say(0, []byte("bye"))
		talk.say(1, []byte("bye too"))
	}
	path := w.write(t)
	v := view(t, path)
	sum := 0
	for n, want := range tshark(t, path, "tcp", streams) {
		for _, most := range []int{64 << 10, 1000, 77} {
			same(t, fmt.Sprintf("stream %d in pages of %d", n, most), follow(t, v, begins[n], most), want)
		}
		for _, turn := range want {
			sum += len(turn.data)
		}
	}
	if sum < 300_000 {
		t.Errorf("only %d bytes were compared", sum)
	}
}

// Of ports that were used again, each connection is a stream of its own, wherever in it one asks.
func TestPortsUsedAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	w := &wire{}
	var inside []int64
	for range 4 {
		talk := w.connect(random, false, 40000, 0, 0.1)
		for range 5 {
			talk.say(random.IntN(2), said(random, 3000))
		}
		inside = append(inside, int64(len(w.packets)-2))
	}
	path := w.write(t)
	v := view(t, path)
	all := tshark(t, path, "tcp", 4)
	if len(all) != 4 {
		t.Fatalf("tshark has %d streams", len(all))
	}
	for n, want := range all {
		same(t, fmt.Sprint("connection ", n), follow(t, v, inside[n], 500), want)
	}
}

// Datagrams are as tshark has them, also those that IP has cut up and whose fragments come in
// another order.
func TestDatagramsAreTsharks(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 16))
	w := &wire{}
	var begin int64
	for n := range 300 {
		data := said(random, 1+random.IntN(9000))
		from, to, source, target := byte(1), byte(2), uint16(40000), uint16(9999)
		if n%3 == 1 {
			from, to, source, target = to, from, target, source
		}
		packet := w.ip(false, 17, from, to, udp(source, target, data))
		if n == 0 {
			begin = 1
			packet = w.ip(false, 17, from, to, udp(source, target, data[:1]))
		}
		parts := [][]byte{packet}
		if len(packet) > 1400 {
			parts = cut(packet, 1400)
			random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		}
		for _, part := range parts {
			w.put(part)
		}
	}
	path := w.write(t)
	want := tshark(t, path, "udp", 1)
	for _, most := range []int{64 << 10, 2000} {
		same(t, fmt.Sprint("in pages of ", most), follow(t, view(t, path), begin, most), want[0])
	}
}

// The captures of the repository have the streams that tshark finds.
func TestStreamsOfTheCorpus(t *testing.T) {
	path := "../../commands/packetcapture/testdata/slow.pcap"
	v := view(t, path)
	out, err := exec.Command(netnstest.Tool(t, "tshark"), "-n", "-r", path, "-T", "fields", "-e", "frame.number", "-e", "tcp.stream", "-e", "udp.stream").Output()
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]int64{}
	kinds := map[string]int{}
	for line := range strings.Lines(string(out)) {
		var number int64
		cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
		fmt.Sscan(cells[0], &number)
		for i, kind := range []string{"tcp", "udp"} {
			// a packet of TCP in a tunnel is of the stream inside
			if stream := cells[1+i]; stream != "" && first[kind+stream] == 0 && (kind == "tcp" || cells[1] == "") {
				first[kind+stream] = number
				kinds[kind]++
			}
		}
	}
	for kind := range kinds {
		for n, want := range tshark(t, path, kind, 20) {
			position := first[fmt.Sprint(kind, n)]
			if position == 0 {
				continue
			}
			got := follow(t, v, position, 64<<10)
			same(t, fmt.Sprintf("%s stream %d of packet %d", kind, n, position), got, want)
		}
	}
}

// FuzzFollow: whatever segments come, pages of any size say the same, offsets go on, and memory is
// bounded.
func FuzzFollow(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 0, 5, 9, 1, 3}, uint8(3))
	f.Add([]byte("hello, these are segments of something"), uint8(200))
	f.Fuzz(func(t *testing.T, script []byte, most uint8) {
		w := &wire{}
		seq := [2]uint32{0xfffffff0, 100}
		for len(script) >= 4 && len(w.packets) < 300 {
			from := int(script[0] & 1)
			flags := script[0]>>1&0x17 | headers.ACK
			if script[0] == 0xff {
				flags = headers.SYN
			}
			at := seq[from] + uint32(int8(script[1]))
			data := bytes.Repeat([]byte{script[3]}, int(script[2]))
			w.put(w.ip(false, 6, byte(1+from), byte(2-from), tcp([2]uint16{1000, 80}[from], [2]uint16{80, 1000}[from], at, seq[1-from], flags, data)))
			if script[3]&1 != 0 {
				seq[from] = at + uint32(len(data))
			}
			script = script[4:]
		}
		if len(w.packets) == 0 {
			return
		}
		v := view(t, w.write(t))
		for _, position := range []int64{1, int64(len(w.packets))} {
			whole := follow(t, v, position, 1<<20)
			parts := follow(t, v, position, 1+int(most))
			same(t, fmt.Sprintf("at %d in pages of %d", position, 1+int(most)), parts, whole)
		}
	})
}
