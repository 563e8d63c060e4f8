package pcapfile

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/await"
	"diagsh/internal/test/disktest"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"
)

var formats = []capture.Format{capture.PCAP, capture.PCAPNG}

func header(format capture.Format) capture.FileHeader {
	return capture.FileHeader{
		Format: format,
		Interfaces: []capture.Interface{
			{Name: "eth0", LinkType: capture.Ethernet},
			{Name: "eth1", LinkType: capture.Ethernet},
		},
		SnapLength:  capture.MaxSnapLength,
		MaxBytes:    capture.Unlimited,
		Filter:      "not port 22",
		Machine:     "x86_64",
		System:      "Linux",
		Application: "diagsh",
		Start:       time.Unix(1_800_000_000, 0),
	}
}

func packets(n, longest int) []capture.Packet {
	random := rand.New(rand.NewPCG(3, 4))
	bytes := rand.NewChaCha8([32]byte{5})
	all := make([]capture.Packet, n)
	for i := range all {
		data := make([]byte, random.IntN(longest+1))
		bytes.Read(data)
		all[i] = capture.Packet{
			Time:      1_800_000_000_123_456_789 + int64(i)*1001,
			Data:      data,
			Length:    uint32(len(data) + random.IntN(2)*1000),
			Interface: uint32(random.IntN(2)),
			Direction: capture.Direction(random.IntN(6)),
		}
	}
	return all
}

func create(t testing.TB, h capture.FileHeader) (*Writer, string) {
	t.Helper()
	path := t.TempDir()
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	f, err := Create(dir, "file", h)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Writer), filepath.Join(path, "file")
}

// write makes a whole file.
func write(t testing.TB, h capture.FileHeader, all []capture.Packet) string {
	t.Helper()
	w, path := create(t, h)
	for batch := range slices.Chunk(all, 100) {
		if n, err := w.Write(batch); n != len(batch) || err != nil {
			t.Fatalf("%d of %d written: %v", n, len(batch), err)
		}
	}
	if _, err := w.Close([]capture.Counters{{Received: 5, Dropped: 2}, {}}); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAll reads a file to its end, with copies of the data.
func readAll(t testing.TB, path string) ([]capture.Packet, *Reader) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []capture.Packet
	for {
		var p capture.Packet
		switch err := r.Next(&p); {
		case err == io.EOF:
			return all, r
		case err != nil:
			t.Fatal(err)
		}
		p.Data = bytes.Clone(p.Data)
		all = append(all, p)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	// The long ones cross the ends of several buffers.
	for _, longest := range []int{7, 1500, 200_000} {
		for _, format := range formats {
			all := packets(300, longest)
			path := write(t, header(format), all)
			got, r := readAll(t, path)
			if len(got) != len(all) {
				t.Fatalf("%s: %d packets of %d", format, len(got), len(all))
			}
			for i, p := range got {
				want := all[i]
				if format == capture.PCAP {
					want.Interface, want.Direction = 0, 0
				}
				if !bytes.Equal(p.Data, want.Data) {
					t.Fatalf("%s: packet %d has other data", format, i)
				}
				p.Data, want.Data = nil, nil
				if p.Time != want.Time || p.Length != want.Length || p.Interface != want.Interface ||
					p.Direction != want.Direction {
					t.Fatalf("%s: packet %d is %+v, not %+v", format, i, p, want)
				}
			}
			if stat, _ := os.Stat(path); stat.Size() != r.Offset() {
				t.Errorf("%s: read up to %d of %d", format, r.Offset(), stat.Size())
			}
			if format == capture.PCAPNG &&
				(r.Interfaces()[1].Name != "eth1" || r.Interfaces()[1].LinkType != capture.Ethernet) {
				t.Errorf("interfaces are %+v", r.Interfaces())
			}
			gopacketAgrees(t, path, format, all)
		}
	}
}

func gopacketAgrees(t *testing.T, path string, format capture.Format, all []capture.Packet) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r gopacket.PacketDataSource
	if format == capture.PCAP {
		r, err = pcapgo.NewReader(file)
	} else {
		r, err = pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range all {
		data, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("%s: gopacket, packet %d: %v", format, i, err)
		}
		if !bytes.Equal(data, want.Data) || info.Timestamp.UnixNano() != want.Time || info.Length != int(want.Length) {
			t.Fatalf("%s: gopacket reads packet %d as %+v", format, i, info)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("%s: gopacket finds %v at the end", format, err)
	}
}

func TestInfoIsOfTheFile(t *testing.T) {
	for _, format := range formats {
		all := packets(50, 100)
		slices.Reverse(all) // the first is not the earliest
		w, path := create(t, header(format))
		if info := w.Info(); info.Packets != 0 || !info.First.IsZero() {
			t.Errorf("an empty file: %+v", info)
		}
		w.Write(all)
		info, err := w.Close(make([]capture.Counters, 2))
		if err != nil {
			t.Fatal(err)
		}
		repaired, err := Repair(path)
		if err != nil || !reflect.DeepEqual(repaired, info) {
			t.Errorf("written %+v, found %+v, %v", info, repaired, err)
		}
		if info.First.UnixNano() != all[49].Time || info.Last.UnixNano() != all[0].Time || info.Packets != 50 {
			t.Errorf("%+v", info)
		}
	}
}

func TestSizeLimitIncludesTheEnd(t *testing.T) {
	for _, format := range formats {
		for limit := int64(600); limit < 700; limit++ {
			h := header(format)
			h.MaxBytes = limit
			w, path := create(t, h)
			n, err := w.Write(packets(100, 3))
			if !errors.Is(err, capture.ErrSizeLimit) {
				t.Fatalf("limit %d: %v", limit, err)
			}
			info, err := w.Close([]capture.Counters{{Seen: 1, SeenKnown: true}, {Seen: 1, SeenKnown: true}})
			if err != nil {
				t.Fatal(err)
			}
			stat, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if stat.Size() > limit || stat.Size() < limit-52 || info.Bytes != stat.Size() || info.Packets != int64(n) {
				t.Errorf("limit %d: %d bytes, %+v", limit, stat.Size(), info)
			}
		}
	}
}

func TestWhatIsNotKnownIsNotInTheStatistics(t *testing.T) {
	for _, c := range []capture.Counters{{Seen: 7, SeenKnown: true}, {SeenKnown: true}, {Seen: 7}, {}} {
		h := header(capture.PCAPNG)
		file := appendSection(nil, h)
		file = appendStatistics(file, 0, c, 1, time.Unix(0, 0), time.Unix(0, 0), 1)
		r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.ReadPacketData(); err != io.EOF {
			t.Fatal(err)
		}
		link, err := r.Interface(0)
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(pcapgo.NgNoValue64)
		if c.SeenKnown {
			want = c.Seen
		}
		if got := link.Statistics.PacketsReceived; got != want {
			t.Errorf("%+v: the file says that %d packets were on the wire", c, got)
		}
	}
}

func TestFileThatCannotBeCreated(t *testing.T) {
	_, path := create(t, header(capture.PCAPNG))
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()

	var exists *capture.FileExistsError
	if _, err := Create(dir, "file", header(capture.PCAP)); !errors.As(err, &exists) {
		t.Errorf("a file that exists: %v", err)
	}
	var wrong *capture.SpecError
	small := header(capture.PCAPNG)
	small.MaxBytes = 400
	if _, err := Create(dir, "small", small); !errors.As(err, &wrong) {
		t.Errorf("too small a limit: %v", err)
	}
	mixed := header(capture.PCAP)
	mixed.Interfaces[1].LinkType = capture.Raw
	if _, err := Create(dir, "mixed", mixed); !errors.Is(err, capture.ErrMixedLinkTypes) {
		t.Errorf("two link types: %v", err)
	}
	if _, err := Create(dir, "no/such", header(capture.PCAP)); err == nil ||
		err.Error() != "the capture file cannot be created: no such file or directory" {
		t.Errorf("no directory: %v", err)
	}
	if entries, _ := os.ReadDir(dir.Name()); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestFlushMakesWholeFiles(t *testing.T) {
	for _, format := range formats {
		all := packets(4000, 3000) // more than a buffer
		w, path := create(t, header(format))
		for i, p := range all {
			w.Write([]capture.Packet{p})
			if i%401 != 0 {
				continue
			}
			flushed(t, w)
			got, _ := readAll(t, path)
			if len(got) != i+1 || !bytes.Equal(got[i].Data, p.Data) {
				t.Fatalf("%s: after a flush %d of %d packets are there", format, len(got), i+1)
			}
		}
		if _, err := w.Close(make([]capture.Counters, 2)); err != nil {
			t.Fatal(err)
		}
		got, _ := readAll(t, path)
		if !slices.EqualFunc(got, all, func(a, b capture.Packet) bool { return bytes.Equal(a.Data, b.Data) }) {
			t.Errorf("%s: the %d packets of the finished file are not those written", format, len(got))
		}
	}
}

func flushed(t *testing.T, w *Writer) {
	t.Helper()
	await.Until(t, "the end of the flush", func() bool {
		pending, err := w.Flush()
		if err != nil {
			t.Fatal(err)
		}
		return !pending
	})
}

// TestDirectWritesRefused: a file system may open a file for direct writes and then refuse them.
func TestDirectWritesRefused(t *testing.T) {
	w, path := create(t, header(capture.PCAP))
	// to write what is not a number, with EINVAL
	refuses, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	flushed(t, w)
	w.disk.direct = refuses
	all := packets(6000, 1500)
	w.Write(all)
	if _, err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := readAll(t, path); len(got) != len(all) {
		t.Errorf("%d packets of %d", len(got), len(all))
	}
}

// TestFreeCountsWhatOthersHaveInMemory: what files of other captures on the volume have in memory,
// or may get until they ask, is not free. Once it is on the disk it does not count twice.
func TestFreeCountsWhatOthersHaveInMemory(t *testing.T) {
	path := t.TempDir()
	disktest.Tmpfs(t, path, "64m")
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var volume Volume
	file := func(name string) capture.File {
		files, err := volume.NewFiles(16 << 20)
		if err != nil {
			t.Fatal(err)
		}
		f, err := files.Create(dir, name, header(capture.PCAP))
		if err != nil {
			t.Fatal(err)
		}
		f.(*Writer).own = files
		return f
	}
	a, b := file("a"), file("b")
	flushed(t, a.(*Writer))
	flushed(t, b.(*Writer))
	defer a.Close(nil)
	free := func() int64 {
		t.Helper()
		n, err := a.Free(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	near := func(what string, got, want int64) {
		t.Helper()
		if got < want-2*page || got > want+2*page {
			t.Errorf("%s: %d bytes are free, want %d", what, got, want)
		}
	}
	empty := free()
	if _, err := b.Write(packets(1000, 1500)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Free(0); err != nil {
		t.Fatal(err)
	}
	size := b.Info().Bytes
	near("in memory", free(), empty-size)
	b.Free(4 << 20)
	near("and what may come", free(), empty-size-4<<20)
	flushed(t, b.(*Writer))
	near("on the disk", free(), empty-size-4<<20)
	if _, err := b.Close(nil); err != nil {
		t.Fatal(err)
	}
	near("when it is closed", free(), empty-size)
}

func TestWriteErrorLeavesWholeFile(t *testing.T) {
	for _, format := range formats {
		w, path := create(t, header(format))
		w.Write(packets(10, 100))
		flushed(t, w)
		if w.disk.direct != nil {
			w.disk.direct.Close() // writes fail from here on
		}
		var err error
		for range 100 {
			if _, err = w.Write(packets(1000, 1500)); err != nil {
				break
			}
		}
		if err == nil {
			t.Skip("this file system has no direct writes")
		}
		info, err := w.Close(make([]capture.Counters, 2))
		if err == nil {
			t.Error("closed without an error")
		}
		got, _ := readAll(t, path)
		if info.Packets != int64(len(got)) || len(got) < 10 || info.Name != "file" {
			t.Errorf("%s: %d packets, %+v", format, len(got), info)
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	for _, format := range formats {
		w, _ := create(t, header(format))
		batch := packets(256, 1500)
		n := testing.AllocsPerRun(200, func() {
			if _, err := w.Write(batch); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for %d packets", format, n, len(batch))
		}
		w.Close(make([]capture.Counters, 2))
	}
}
