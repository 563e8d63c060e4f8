package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
)

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
				[]capture.Packet{{Time: 5_000_001_000, Data: []byte("abc"), Length: 8},
					{Time: 6_000_002_000, Data: []byte("abcd"), Length: 8}}},
			{"a simple packet, cut to 4 bytes",
				slices.Concat(section, ethernet, words(o, blockSimple, 20, 9, "abcd", 20)),
				[]capture.Packet{{Data: []byte("abcd"), Length: 9}}},
			{"resolution 2^-20, offset 100 s", slices.Concat(section,
				words(o, blockInterface, 44, uint16(1), uint16(0), 0, uint16(9), uint16(1), "\x94\x00\x00\x00",
					uint16(14), uint16(8)),
				o.AppendUint64(nil, 100), words(o, 0, 44),
				words(o, blockPacket, 32, 0, 0, 3<<20+1<<19, 0, 8, 32)),
				[]capture.Packet{{Time: 103_500_000_000, Data: []byte{}, Length: 8}}},
			{"two sections", slices.Concat(section, ethernet, section, ethernet,
				words(o, blockPacket, 32, 0, 0, 1, 0, 8, 32)),
				[]capture.Packet{{Time: 1000, Data: []byte{}, Length: 8, Interface: 1}}},
		} {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, test.file, 0o600); err != nil {
				t.Fatal(err)
			}
			got, _ := readAll(t, path)
			same := slices.EqualFunc(got, test.want, func(a, b capture.Packet) bool {
				return a.Time == b.Time && bytes.Equal(a.Data, b.Data) && a.Length == b.Length &&
					a.Interface == b.Interface
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
		"an endless packet":          slices.Concat(classic, words(o, 1, 1, 1<<31, 1<<31)),
		"zeros":                      slices.Concat(classic, make([]byte, 4096)),
		"zeros behind a section":     slices.Concat(section, ethernet, make([]byte, 4096)),
		"an endless block":           slices.Concat(section, words(o, blockPacket, -4)),
		"a block of odd length":      slices.Concat(section, words(o, blockPacket, 33, 0, 0, 0, 0, 0, 0, 0)),
		"two lengths":                slices.Concat(section, ethernet, words(o, blockPacket, 32, 0, 0, 1, 0, 8, 36)),
		"two lengths, unknown block": slices.Concat(section, words(o, 77, 12, 16)),
		"no such interface":          slices.Concat(section, ethernet, words(o, blockPacket, 32, 1, 0, 1, 0, 8, 32)),
		"interface of a section past": slices.Concat(section, ethernet, section,
			words(o, blockPacket, 32, 0, 0, 1, 0, 8, 32)),
		"more data than block":     slices.Concat(section, ethernet, words(o, blockPacket, 32, 0, 0, 1, 5, 8, 32)),
		"simple, more than block":  slices.Concat(section, ethernet, words(o, blockSimple, 16, 5, 16)),
		"simple without interface": slices.Concat(section, words(o, blockSimple, 16, 0, 16)),
		"impossible resolution": slices.Concat(section,
			words(o, blockInterface, 28, uint16(1), uint16(0), 0, uint16(9), uint16(1), "\x50\x00\x00\x00", 28)),
		"no byte order": slices.Concat(section, words(o, blockSection, 28, 1, 2, 3, 4, 28)),
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
		"nothing": nil, "text": []byte("no capture at all, but long enough for a header"),
		"a torn header": classic[:20], "a torn section": section[:27],
	} {
		if _, err := NewReader(bytes.NewReader(file)); !errors.Is(err, ErrNoCapture) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRepairWhereverAFileIsTorn(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
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
				if behind == 0 && !bytes.Equal(left, whole[:info.Bytes]) ||
					cut == len(whole) && info.Bytes != int64(cut) {
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

// TestRepairTellsHolesFromZeros: a power cut leaves a hole inside one packet, and zeros that were
// sent are no hole.
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
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 80<<10,
			8<<10); err != nil {
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
		if again, err := Repair(path); !reflect.DeepEqual(again, info) || err != nil {
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
					if w.Info().Bytes > 1<<30 { // this does not measure the disk
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
