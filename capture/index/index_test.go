package index

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/internal/test/packetfile"
)

// made returns packets of several interfaces whose data say their number.
func made(n int) []capture.Packet {
	random := rand.New(rand.NewPCG(3, 4))
	list := make([]capture.Packet, n)
	at := int64(1_700_000_000e9)
	for i := range list {
		at += random.Int64N(5e6) - 1e6 // not quite in order
		data := make([]byte, 14+random.IntN(60))
		binary.BigEndian.PutUint32(data, uint32(i))
		list[i] = capture.Packet{Time: at, Data: data, Length: uint32(len(data) + i%3), Interface: uint32(i % 2),
			Direction: capture.Incoming}
	}
	return list
}

var twoLinks = []capture.Interface{{Name: "eth0", Index: 1, LinkType: capture.Ethernet},
	{Name: "tun0", Index: 2, LinkType: capture.Raw}}

// encode returns a file of packets.
func encode(t testing.TB, format capture.Format, packets []capture.Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	h := capture.FileHeader{Format: format, Interfaces: twoLinks, SnapLength: capture.MaxSnapLength}
	if format == capture.PCAP {
		h.Interfaces, h.Precision = h.Interfaces[:1], ""
		packets = slices.Clone(packets)
		for i := range packets {
			packets[i].Interface, packets[i].Direction = 0, capture.DirectionUnknown
		}
	}
	s, err := pcapfile.NewStream(&b, h)
	if err == nil {
		err = s.Write(packets)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func put(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func source(path string) Source {
	gone := func(err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, replay.ErrGone)
		}
		return err
	}
	return Source{Name: filepath.Base(path),
		Stat: func() (fs.FileInfo, error) { info, err := os.Stat(path); return info, gone(err) },
		Open: func() (*os.File, error) { f, err := os.Open(path); return f, gone(err) }}
}

func library(t testing.TB) *Library {
	l := NewLibrary(32 << 20)
	t.Cleanup(l.Close)
	return l
}

func open(t testing.TB, l *Library, removed int64, sources ...Source) *View {
	t.Helper()
	v, err := l.Open(removed, false, sources...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wait(t testing.TB, v *View, f *Filter) Progress {
	t.Helper()
	p, err := v.Wait(t.Context(), f, -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plain reads files from their beginnings, without an index.
func plain(t testing.TB, paths ...string) (list []capture.Packet, on []capture.Interface) {
	t.Helper()
	for _, path := range paths {
		r := packetfile.Open(t, path)
		for {
			var p capture.Packet
			if err := r.Next(&p); err != nil {
				break
			}
			p.Data = slices.Clone(p.Data)
			list, on = append(list, p), append(on, r.Interfaces()[p.Interface])
		}
	}
	return list, on
}

// same compares a page with what a plain reader reads.
func same(t testing.TB, v *View, first int64, count int, want []capture.Packet, on []capture.Interface,
	positions []int64) {
	t.Helper()
	n := int(first) - 1
	err := v.Page(t.Context(), first, count, func(p *Packet) error {
		if n >= len(want) {
			t.Fatalf("there is a packet %d of %d", n+1, len(want))
		}
		if p.Position != positions[n] || p.Time != want[n].Time || p.Length != want[n].Length ||
			!bytes.Equal(p.Data, want[n].Data) || p.On != on[n] || p.Direction != want[n].Direction {
			t.Fatalf("packet %d is %+v, want %+v at %d on %+v", n+1, p, want[n], positions[n], on[n])
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if end := min(int(first)-1+count, len(want)); n < end {
		t.Fatalf("a page from %d on ends after %d packets, want %d", first, n, end)
	}
}

func upTo(n int, removed int64) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = removed + int64(i) + 1
	}
	return list
}

// Every packet is found by its number, in files of both formats, of several sections, packed, and
// in rings, whatever order they are asked for in.
func TestPagesAreWhatAReaderReads(t *testing.T) {
	packets := made(10_000)
	ng, classic := encode(t, capture.PCAPNG, packets), encode(t, capture.PCAP, packets)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(ng)
	z.Close()
	big := slices.Concat(ng, encode(t, capture.PCAPNG, packets[:777]),
		encode(t, capture.PCAPNG, packets[5:9000]))
	for name, files := range map[string][][]byte{
		"pcap": {classic}, "pcapng": {ng}, "sections": {big}, "packed": {packed.Bytes()}, "ring": {ng, classic, big},
		"torn": {ng[:len(ng)-7]}, "empty": {encode(t, capture.PCAPNG, nil)},
		"with empty ones": {encode(t, capture.PCAP, nil), classic, encode(t, capture.PCAPNG, nil), ng},
	} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			var sources []Source
			for i, f := range files {
				paths = append(paths, put(t, fmt.Sprint(i), f))
				sources = append(sources, source(paths[i]))
			}
			want, on := plain(t, paths...)
			v := open(t, library(t), 17, sources...)
			p := wait(t, v, nil)
			if p.Packets != int64(len(want)) || p.Selected != p.Packets || !p.Complete {
				t.Fatalf("%+v, want %d packets", p, len(want))
			}
			random := rand.New(rand.NewPCG(5, 6))
			for range 60 {
				same(t, v, 1+random.Int64N(int64(len(want))+3), 1+random.IntN(200), want, on, upTo(len(want), 17))
			}
			if name == "packed" {
				return
			}
			for range 500 {
				n := random.IntN(len(want) + 1)
				found, err := v.Packet(int64(n) + 18)
				if err != nil || (found == nil) != (n == len(want)) {
					t.Fatalf("packet %d: %v, %v", n, found, err)
				}
				if found != nil && !bytes.Equal(found.Data, want[n].Data) {
					t.Fatalf("packet %d is another", n)
				}
			}
		})
	}
}

// even selects packets whose number is even.
type every struct {
	n     uint32
	calls *int
	mu    *sync.Mutex
}

func (e every) Match(p *capture.Packet, _ capture.Interface) bool {
	if e.calls != nil {
		e.mu.Lock()
		*e.calls++
		e.mu.Unlock()
	}
	return binary.BigEndian.Uint32(p.Data)%e.n == 0
}

func everyFilter(n uint32) *Filter {
	return &Filter{Key: fmt.Sprint("every ", n), New: func() (Matcher, error) { return every{n: n}, nil }}
}

// A filter's pages have what it selects, with the positions in the files. Rank is their inverse.
func TestFilteredPages(t *testing.T) {
	packets := made(9000)
	paths := []string{put(t, "a", encode(t, capture.PCAPNG, packets)), put(t, "b", encode(t, capture.PCAPNG, packets[:100])),
		put(t, "c", encode(t, capture.PCAPNG, packets))}
	all, on := plain(t, paths...)
	for _, n := range []uint32{1, 2, 3, 1000, 1 << 31} {
		var want []capture.Packet
		var wantOn []capture.Interface
		var positions []int64
		for i, p := range all {
			if (every{n: n}).Match(&p, on[i]) {
				want, wantOn, positions = append(want, p), append(wantOn, on[i]), append(positions, int64(i)+1)
			}
		}
		v := open(t, library(t), 0, source(paths[0]), source(paths[1]), source(paths[2]))
		p := wait(t, v, everyFilter(n))
		if p.Selected != int64(len(want)) || p.Packets != int64(len(all)) {
			t.Fatalf("every %d: %+v, want %d of %d", n, p, len(want), len(all))
		}
		random := rand.New(rand.NewPCG(7, 8))
		for range 50 {
			first := 1 + random.Int64N(int64(len(want)))
			same(t, v, first, 1+random.IntN(200), want, wantOn, positions)
			if got := v.Rank(positions[first-1]); got != first {
				t.Fatalf("the rank of %d is %d, want %d", positions[first-1], got, first)
			}
			any := 1 + random.Int64N(int64(len(all)))
			at, _ := slices.BinarySearch(positions, any)
			if got := v.Rank(any); got != int64(at)+1 {
				t.Fatalf("the rank of %d is %d, want %d", any, got, at+1)
			}
		}
	}
}

// The position of a time is that of the first packet not before it, also where packets are not in
// the order of their times.
func TestPositionOfATime(t *testing.T) {
	paths := []string{put(t, "a", encode(t, capture.PCAPNG, made(5000))), put(t, "b", encode(t, capture.PCAPNG, made(9000)))}
	all, _ := plain(t, paths...)
	v := open(t, library(t), 0, source(paths[0]), source(paths[1]))
	wait(t, v, nil)
	random := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		when := all[random.IntN(len(all))].Time + random.Int64N(3) - 1
		want := int64(slices.IndexFunc(all, func(p capture.Packet) bool { return p.Time >= when })) + 1
		got, err := v.At(t.Context(), time.Unix(0, when))
		if err != nil || got != want {
			t.Fatalf("at %d: %d, %v; want %d", when, got, err, want)
		}
	}
}

// A file that grows is read on, not again; its filters too.
func TestGrowingFile(t *testing.T) {
	content := encode(t, capture.PCAPNG, made(20_000))
	path := put(t, "growing", content[:1000])
	var calls int
	var mu sync.Mutex
	f := &Filter{Key: "counted", New: func() (Matcher, error) { return every{2, &calls, &mu}, nil }}
	l := library(t)
	s := source(path)
	s.Growing = true
	for size := 1000; ; size = min(size+len(content)/7, len(content)) {
		if err := os.WriteFile(path, content[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		want, on := plain(t, path)
		v := open(t, l, 0, s)
		p := wait(t, v, nil)
		if p.Packets != int64(len(want)) || p.Complete || !p.Growing {
			t.Fatalf("at %d bytes: %+v, want %d packets", size, p, len(want))
		}
		same(t, v, max(1, p.Packets-150), 200, want, on, upTo(len(want), 0))
		if p = wait(t, v, f); p.Selected != (p.Packets+1)/2 {
			t.Fatalf("at %d bytes: %+v", size, p)
		}
		if size == len(content) {
			break
		}
	}
	if calls != 20_000 {
		t.Errorf("the filter was asked %d times about 20,000 packets", calls)
	}
}

// A file that was replaced is read again, also if it is as large as the one before.
func TestReplacedFile(t *testing.T) {
	a, b := made(5000), made(5000)
	for i := range b {
		b[i].Data = slices.Clone(b[i].Data)
		b[i].Data[5] = 99
	}
	path := put(t, "file", encode(t, capture.PCAPNG, a))
	l := library(t)
	wait(t, open(t, l, 0, source(path)), everyFilter(2))
	if err := os.WriteFile(path, encode(t, capture.PCAPNG, b), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	v := open(t, l, 0, source(path))
	wait(t, v, everyFilter(2))
	want, _ := plain(t, path)
	p, err := v.Packet(4321)
	if err != nil || !bytes.Equal(p.Data, want[4320].Data) {
		t.Errorf("%+v, %v", p, err)
	}
}

// Readers who come at the same time share one scan, and each gets the right pages.
func TestReadersShare(t *testing.T) {
	packets := made(100_000)
	path := put(t, "file", encode(t, capture.PCAPNG, packets))
	want, on := plain(t, path)
	var calls int
	var mu sync.Mutex
	f := &Filter{Key: "counted", New: func() (Matcher, error) { return every{3, &calls, &mu}, nil }}
	l := library(t)
	var readers sync.WaitGroup
	for n := range 16 {
		readers.Go(func() {
			v, err := l.Open(0, false, source(path))
			if err == nil {
				_, err = v.Wait(t.Context(), f, -1, nil)
			}
			if err == nil {
				err = v.Page(t.Context(), int64(1+n*100), 5, func(p *Packet) error {
					if i := p.Position - 1; !bytes.Equal(p.Data, want[i].Data) || p.On != on[i] {
						return fmt.Errorf("packet %d is another", p.Position)
					}
					return nil
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	if calls != len(packets) {
		t.Errorf("the filter was asked %d times about %d packets", calls, len(packets))
	}
}

// What is kept stays within the limit: filters that were not asked for go first, then files. What
// went is made again.
func TestLibraryIsBounded(t *testing.T) {
	l := NewLibrary(100 << 10)
	defer l.Close()
	var paths []string
	for n := range 6 {
		paths = append(paths, put(t, fmt.Sprint(n), encode(t, capture.PCAPNG, made(70_000+n))))
	}
	for round := range 2 {
		for n, path := range paths {
			v := open(t, l, 0, source(path))
			for _, every := range []uint32{2, 3, 5, 7, 11} {
				p := wait(t, v, everyFilter(every))
				if p.Packets != int64(70_000+n) || p.Selected != (p.Packets+int64(every)-1)/int64(every) {
					t.Fatalf("round %d, file %d, every %d: %+v", round, n, every, p)
				}
			}
			if got := l.Bytes(); got > 140<<10 {
				t.Fatalf("%d bytes are kept", got)
			}
		}
	}
}

// A reader who goes waits no longer, and a closed library reads no more.
func TestEndOfWaiting(t *testing.T) {
	path := put(t, "file", encode(t, capture.PCAPNG, made(3000)))
	l := NewLibrary(1 << 20)
	held := make(chan struct{})
	s := source(path)
	inner := s.Open
	s.Open = func() (*os.File, error) { <-held; return inner() }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := open(t, l, 0, s)
	if _, err := v.Wait(ctx, nil, -1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the caller's end", err)
	}
	if p, err := v.Wait(t.Context(), nil, 0, nil); err != nil || p.Complete || p.Packets != 0 {
		t.Errorf("%+v, %v; want what is known, nothing", p, err)
	}
	close(held)
	if p := wait(t, v, nil); p.Packets != 3000 || !p.Complete {
		t.Errorf("%+v", p)
	}
	l.Close()
	if _, err := open(t, l, 0, source(put(t, "other", encode(t, capture.PCAP, made(5))))).Wait(t.Context(), nil, -1, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// While a file of a ring is not known to its end, there are no packets of those after it: their
// positions are not known.
func TestNothingAfterAFileThatIsBeingRead(t *testing.T) {
	first, second := source(put(t, "1", encode(t, capture.PCAPNG, made(900)))), source(put(t, "2", encode(t, capture.PCAPNG, made(700))))
	held := make(chan struct{})
	inner := first.Open
	first.Open = func() (*os.File, error) { <-held; return inner() }
	l := library(t)
	wait(t, open(t, l, 0, second), nil)
	v := open(t, l, 0, first, second)
	if p, err := v.Wait(t.Context(), nil, 0, nil); err != nil || p.Packets != 0 || p.Complete {
		t.Errorf("%+v, %v; want no packets yet", p, err)
	}
	if p, err := v.Packet(1); p != nil || err != nil {
		t.Errorf("packet 1 is %+v, %v", p, err)
	}
	close(held)
	if p := wait(t, v, nil); p.Packets != 1600 || !p.Complete {
		t.Errorf("%+v", p)
	}
}

// What is no capture file says so; of a corrupt one there is what is before.
func TestBadFiles(t *testing.T) {
	l := library(t)
	_, err := open(t, l, 0, source(put(t, "text", []byte("hello, this is text")))).Wait(t.Context(), nil, -1, nil)
	if !errors.Is(err, pcapfile.ErrNoCapture) {
		t.Errorf("%v, want ErrNoCapture", err)
	}
	whole := encode(t, capture.PCAPNG, made(3000))
	path := put(t, "corrupt", append(slices.Clone(whole), bytes.Repeat([]byte{1}, 100)...))
	v := open(t, l, 0, source(path))
	if p := wait(t, v, everyFilter(1)); p.Packets != 3000 || p.Selected != 3000 || !p.Complete {
		t.Errorf("%+v", p)
	}
	var corrupt *pcapfile.CorruptError
	if !errors.As(v.Torn()["corrupt"], &corrupt) || corrupt.Offset != int64(len(whole)) {
		t.Errorf("%v, want the place %d", v.Torn(), len(whole))
	}
	if _, err := l.Open(0, false, source(filepath.Join(t.TempDir(), "none"))); !errors.Is(err, replay.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}

// With few places kept, a page reads further and is the same.
func TestThinned(t *testing.T) {
	p := places{stride: firstStride}
	for n := range int64(maxEntries*firstStride + 5000) {
		p.add(pcapfile.Mark{Offset: 24 + n*20}, n)
	}
	if len(p.entries) > maxEntries || p.stride != 2*firstStride {
		t.Fatalf("%d entries, stride %d", len(p.entries), p.stride)
	}
	for _, n := range []int{0, 1, 77, len(p.entries) - 1} {
		if got, want := p.mark(n).Offset, 24+int64(n)*p.stride*20; got != want || p.entries[n].until != int64(n)*p.stride {
			t.Errorf("entry %d is at %d, want %d", n, got, want)
		}
	}
}
