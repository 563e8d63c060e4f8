package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/netnstest"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"
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
	// The long ones go over the ends of several buffers.
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
				if p.Time != want.Time || p.Length != want.Length || p.Interface != want.Interface || p.Direction != want.Direction {
					t.Fatalf("%s: packet %d is %+v, not %+v", format, i, p, want)
				}
			}
			if stat, _ := os.Stat(path); stat.Size() != r.Offset() {
				t.Errorf("%s: read up to %d of %d", format, r.Offset(), stat.Size())
			}
			if format == capture.PCAPNG && (r.Interfaces()[1].Name != "eth1" || r.Interfaces()[1].LinkType != capture.Ethernet) {
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
		if err != nil || repaired != info {
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
	if _, err := Create(dir, "no/such", header(capture.PCAP)); err == nil || err.Error() != "the capture file cannot be created: no such file or directory" {
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
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		pending, err := w.Flush()
		if err != nil {
			t.Fatal(err)
		}
		if !pending {
			return
		}
	}
	t.Fatal("the flush does not end")
}

// A file system may open a file for direct writes and then refuse them.
func TestDirectWritesRefused(t *testing.T) {
	w, path := create(t, header(capture.PCAP))
	refuses, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0) // to take what is not a number, with EINVAL
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

// What the files of other captures on the volume have in memory, and may get until they ask, is not free; when it is on the disk it does
// not count twice.
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

// words builds blocks of a foreign byte order.
func words(order binary.AppendByteOrder, parts ...any) []byte {
	var b []byte
	for _, part := range parts {
		switch part := part.(type) {
		case int:
			b = order.AppendUint32(b, uint32(part))
		case uint16:
			b = order.AppendUint16(b, part)
		case string:
			b = append(b, part...)
		}
	}
	return b
}

func TestForeignFiles(t *testing.T) {
	both := []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian}
	for _, o := range both {
		section := words(o, blockSection, 28, byteOrderMagic, uint16(1), uint16(0), -1, -1, 28)
		ethernet := words(o, blockInterface, 20, uint16(1), uint16(0), 4, 20)
		for _, test := range []struct {
			name string
			file []byte
			want []capture.Packet
		}{
			{"microseconds", words(o, magicMicro, uint16(2), uint16(4), 0, 0, 65535, 1, 7, 999_999, 3, 9, "abc"),
				[]capture.Packet{{Time: 7_999_999_000, Data: []byte("abc"), Length: 9}}},
			{"nanoseconds", words(o, magicNano, uint16(2), uint16(4), 0, 0, 65535, 1, 7, 999_999, 3, 9, "abc"),
				[]capture.Packet{{Time: 7_000_999_999, Data: []byte("abc"), Length: 9}}},
			{"packet blocks", slices.Concat(section, ethernet,
				words(o, blockPacket, 36, 0, 0, 5_000_001, 3, 8, "abc\x00", 36),
				words(o, 0x0bad, 16, "what", 16),
				words(o, blockOldPacket, 36, uint16(0), uint16(77), 0, 6_000_002, 4, 8, "abcd", 36)),
				[]capture.Packet{{Time: 5_000_001_000, Data: []byte("abc"), Length: 8}, {Time: 6_000_002_000, Data: []byte("abcd"), Length: 8}}},
			{"a simple packet, cut to 4 bytes", slices.Concat(section, ethernet, words(o, blockSimple, 20, 9, "abcd", 20)),
				[]capture.Packet{{Data: []byte("abcd"), Length: 9}}},
			{"resolution 2^-20, offset 100 s", slices.Concat(section,
				words(o, blockInterface, 44, uint16(1), uint16(0), 0, uint16(9), uint16(1), "\x94\x00\x00\x00", uint16(14), uint16(8)),
				o.AppendUint64(nil, 100), words(o, 0, 44),
				words(o, blockPacket, 32, 0, 0, 3<<20+1<<19, 0, 8, 32)),
				[]capture.Packet{{Time: 103_500_000_000, Data: []byte{}, Length: 8}}},
			{"two sections", slices.Concat(section, ethernet, section, ethernet, words(o, blockPacket, 32, 0, 0, 1, 0, 8, 32)),
				[]capture.Packet{{Time: 1000, Data: []byte{}, Length: 8, Interface: 1}}},
		} {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, test.file, 0o600); err != nil {
				t.Fatal(err)
			}
			got, _ := readAll(t, path)
			same := slices.EqualFunc(got, test.want, func(a, b capture.Packet) bool {
				return a.Time == b.Time && bytes.Equal(a.Data, b.Data) && a.Length == b.Length && a.Interface == b.Interface
			})
			if !same {
				t.Errorf("%s, %v: %+v", test.name, o, got)
			}
		}
	}
}

func TestCorruptFiles(t *testing.T) {
	o := binary.LittleEndian
	classic := words(o, magicNano, uint16(2), uint16(4), 0, 0, 65535, 1)
	section := words(o, blockSection, 28, byteOrderMagic, uint16(1), uint16(0), -1, -1, 28)
	ethernet := words(o, blockInterface, 20, uint16(1), uint16(0), 0, 20)
	for name, file := range map[string][]byte{
		"an endless packet":           slices.Concat(classic, words(o, 1, 1, 1<<31, 1<<31)),
		"zeros":                       slices.Concat(classic, make([]byte, 4096)),
		"zeros behind a section":      slices.Concat(section, ethernet, make([]byte, 4096)),
		"an endless block":            slices.Concat(section, words(o, blockPacket, -4)),
		"a block of odd length":       slices.Concat(section, words(o, blockPacket, 33, 0, 0, 0, 0, 0, 0, 0)),
		"two lengths":                 slices.Concat(section, ethernet, words(o, blockPacket, 32, 0, 0, 1, 0, 8, 36)),
		"two lengths, unknown block":  slices.Concat(section, words(o, 77, 12, 16)),
		"no such interface":           slices.Concat(section, ethernet, words(o, blockPacket, 32, 1, 0, 1, 0, 8, 32)),
		"interface of a section past": slices.Concat(section, ethernet, section, words(o, blockPacket, 32, 0, 0, 1, 0, 8, 32)),
		"more data than block":        slices.Concat(section, ethernet, words(o, blockPacket, 32, 0, 0, 1, 5, 8, 32)),
		"simple, more than block":     slices.Concat(section, ethernet, words(o, blockSimple, 16, 5, 16)),
		"simple without interface":    slices.Concat(section, words(o, blockSimple, 16, 0, 16)),
		"impossible resolution":       slices.Concat(section, words(o, blockInterface, 28, uint16(1), uint16(0), 0, uint16(9), uint16(1), "\x50\x00\x00\x00", 28)),
		"no byte order":               slices.Concat(section, words(o, blockSection, 28, 1, 2, 3, 4, 28)),
	} {
		r, err := NewReader(bytes.NewReader(file))
		var p capture.Packet
		for err == nil {
			err = r.Next(&p)
		}
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("no capture at all, but long enough for a header"), "a torn header": classic[:20], "a torn section": section[:27],
	} {
		if _, err := NewReader(bytes.NewReader(file)); !errors.Is(err, ErrNoCapture) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRepairWhereverAFileIsTorn(t *testing.T) {
	for _, format := range formats {
		all := packets(4, 40)
		whole, err := os.ReadFile(write(t, header(format), all))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "torn")
		for cut := range len(whole) + 1 {
			for _, behind := range []int{0, 3000} { // zeros, as after a power cut
				if behind > 0 && cut%5 != 0 {
					continue
				}
				torn := append(bytes.Clone(whole[:cut]), make([]byte, behind)...)
				if err := os.WriteFile(path, torn, 0o600); err != nil {
					t.Fatal(err)
				}
				info, err := Repair(path)
				left, _ := os.ReadFile(path)
				if errors.Is(err, ErrNoCapture) {
					if !bytes.Equal(left, torn) {
						t.Fatalf("%s, cut at %d: a file that is no capture was changed", format, cut)
					}
					continue
				}
				if err != nil {
					var corrupt *CorruptError
					if errors.As(err, &corrupt) && corrupt.Offset == 0 && behind > 0 {
						continue // zeros in the file's header
					}
					t.Fatalf("%s, cut at %d: %v", format, cut, err)
				}
				if behind == 0 && !bytes.Equal(left, whole[:info.Bytes]) || cut == len(whole) && info.Bytes != int64(cut) {
					t.Fatalf("%s, cut at %d: %d bytes left, %+v", format, cut, len(left), info)
				}
				got, _ := readAll(t, path)
				if int64(len(got)) != info.Packets || info.Name != "torn" {
					t.Fatalf("%s, cut at %d: %d packets, %+v", format, cut, len(got), info)
				}
				for i, p := range got[:max(len(got)-1, 0)] {
					if !bytes.Equal(p.Data, all[i].Data) {
						t.Fatalf("%s, cut at %d: packet %d has other data", format, cut, i)
					}
				}
			}
		}
	}
	if _, err := Repair("/no/such/file"); err == nil || err.Error() != "no such file or directory" {
		t.Errorf("no file: %v", err)
	}
}

// A power cut leaves a hole that lies wholly inside one packet. Zeros that were sent are no hole.
func TestRepairTellsHolesFromZeros(t *testing.T) {
	for _, format := range formats {
		all := packets(3, 40)
		for i := range all {
			all[i].Data = make([]byte, 60_000)
			all[i].Length = 60_000
		}
		path := write(t, header(format), all)
		whole, err := Repair(path)
		if err != nil || whole.Packets != 3 {
			t.Fatalf("%s: zeros that were written: %+v, %v", format, whole, err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		// Of the second packet of 60,000 bytes.
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 80<<10, 8<<10); err != nil {
			netnstest.Missing(t, "a hole cannot be made here: "+err.Error())
		}
		info, err := Repair(path)
		stat, _ := f.Stat()
		if err != nil || info.Packets != 1 || info.Bytes >= 80<<10 || stat.Size() != info.Bytes {
			t.Errorf("%s: with a hole in the second packet: %+v, %v, %d bytes", format, info, err, stat.Size())
		}
		if got, _ := readAll(t, path); len(got) != 1 {
			t.Errorf("%s: %d packets are left", format, len(got))
		}
	}
}

func FuzzReader(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		var p capture.Packet
		for err == nil {
			before := r.Offset()
			if err = r.Next(&p); err == nil && (r.Offset() <= before || len(p.Data) > capture.MaxSnapLength) {
				t.Fatalf("from %d to %d by a packet of %d bytes", before, r.Offset(), len(p.Data))
			}
		}
		if r != nil && (r.Offset() > int64(len(file)) || len(r.Interfaces()) > maxInterfaces) {
			t.Fatalf("read %d bytes of %d, %d interfaces", r.Offset(), len(file), len(r.Interfaces()))
		}
	})
}

func FuzzRepair(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := Repair(path)
		left, _ := os.ReadFile(path)
		if err != nil {
			if !bytes.Equal(left, file) {
				t.Fatal("a file that is no capture was changed")
			}
			return
		}
		if int64(len(left)) != info.Bytes || !bytes.HasPrefix(file, left) {
			t.Fatalf("%d bytes left of %d, %+v", len(left), len(file), info)
		}
		if again, err := Repair(path); again != info || err != nil {
			t.Fatalf("repaired as %+v, then as %+v, %v", info, again, err)
		}
	})
}

func seed(f *testing.F) {
	for _, format := range formats {
		file, err := os.ReadFile(write(f, header(format), packets(4, 40)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
		f.Add(file[:len(file)-50])
	}
	f.Add(words(binary.BigEndian, magicMicro, uint16(2), uint16(4), 0, 0, 65535, 1, 7, 999_999, 3, 9, "abc"))
	f.Add(words(binary.BigEndian, blockSection, 28, byteOrderMagic, uint16(1), uint16(0), -1, -1, 28,
		blockInterface, 20, uint16(1), uint16(0), 4, 20, blockSimple, 20, 9, "abcd", 20))
}

func BenchmarkWrite(b *testing.B) {
	for _, format := range formats {
		for _, length := range []int{64, 1442} {
			b.Run(string(format)+"/"+map[int]string{64: "64", 1442: "1442"}[length], func(b *testing.B) {
				w, _ := create(b, header(format))
				batch := packets(256, 0)
				for i := range batch {
					batch[i].Data = make([]byte, length)
				}
				b.SetBytes(int64(length))
				b.ReportAllocs()
				for n := 0; n < b.N; n += len(batch) {
					if _, err := w.Write(batch); err != nil {
						b.Fatal(err)
					}
					if w.Info().Bytes > 1<<30 { // the disk is not what is measured
						b.StopTimer()
						w.Close(make([]capture.Counters, 2))
						w, _ = create(b, header(format))
						b.StartTimer()
					}
				}
				b.StopTimer()
				w.Close(make([]capture.Counters, 2))
			})
		}
	}
}
