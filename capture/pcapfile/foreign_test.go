package pcapfile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
)

// classic returns a file of the old format with extra more bytes before each packet. lengths are
// the two lengths of each packet, in their order in the file.
func classic(order binary.AppendByteOrder, magic uint32, minor uint16, extra int, packets [][2]uint32) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), minor)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 96), 1)
	for n, lengths := range packets {
		b = order.AppendUint32(order.AppendUint32(b, uint32(1000+n)), 5)
		b = order.AppendUint32(order.AppendUint32(b, lengths[0]), lengths[1])
		b = append(b, make([]byte, extra)...)
		b = append(b, bytes.Repeat([]byte{byte(n + 1)}, int(min(lengths[0], lengths[1])))...)
	}
	return b
}

// packetsOf reads packets, and returns how the file ended.
func packetsOf(t *testing.T, file []byte) (list []capture.Packet, end error) {
	t.Helper()
	r, err := pcapfile.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		var p capture.Packet
		if err := r.Next(&p); err != nil {
			return list, err
		}
		p.Data = bytes.Clone(p.Data)
		list = append(list, p)
	}
}

// TestForeignFiles: files of other versions and variants are read as tcpdump and Wireshark read
// them.
func TestForeignFiles(t *testing.T) {
	kept, swapped := [][2]uint32{{60, 1000}, {96, 96}}, [][2]uint32{{1000, 60}, {96, 96}}
	for name, file := range map[string][]byte{
		"2.4":           classic(binary.LittleEndian, 0xa1b2c3d4, 4, 0, kept),
		"2.2":           classic(binary.LittleEndian, 0xa1b2c3d4, 2, 0, swapped),
		"2.3, swapped":  classic(binary.BigEndian, 0xa1b2c3d4, 3, 0, swapped),
		"2.3":           classic(binary.BigEndian, 0xa1b2c3d4, 3, 0, kept),
		"modified":      classic(binary.LittleEndian, 0xa1b2cd34, 4, 8, kept),
		"modified, big": classic(binary.BigEndian, 0xa1b2cd34, 4, 8, kept),
	} {
		for _, packed := range []bool{false, true} {
			file := file
			if packed {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				z.Write(file)
				z.Close()
				file = b.Bytes()
			}
			list, end := packetsOf(t, file)
			if end != io.EOF || len(list) != 2 || list[0].Length != 1000 || len(list[0].Data) != 60 ||
				list[1].Length != 96 || list[1].Data[0] != 2 || list[1].Time != 1001_000_005_000 {
				t.Errorf("%s, packed %v: %d packets, %v: %+v", name, packed, len(list), end, list)
			}
			if packed { // cut in the middle, and damaged
				if _, end := packetsOf(t, file[:len(file)-9]); !errors.Is(end, io.ErrUnexpectedEOF) {
					t.Errorf("%s, packed and cut: %v", name, end)
				}
				file[len(file)-6] ^= 0xff
				var corrupt *pcapfile.CorruptError
				if _, end := packetsOf(t, file); !errors.As(end, &corrupt) {
					t.Errorf("%s, packed and damaged: %v", name, end)
				}
			}
		}
	}
	for by, magic := range map[string]string{"zstd": "\x28\xb5\x2f\xfd", "lz4": "\x04\x22\x4d\x18", "xz": "\xfd7zXZ",
		"bzip2": "BZh91"} {
		_, err := pcapfile.NewReader(bytes.NewReader([]byte(magic + "some more bytes that are packed")))
		var packed *pcapfile.PackedError
		if !errors.As(err, &packed) || packed.By != by {
			t.Errorf("%s: %v", by, err)
		}
	}
}

// TestRecordOfZeros: a packet without length and time is a packet, as for tcpdump, and zeros
// without end are what a power cut left.
func TestRecordOfZeros(t *testing.T) {
	file := classic(binary.LittleEndian, 0xa1b2c3d4, 4, 0, [][2]uint32{{60, 60}})
	one := append(bytes.Clone(file), make([]byte, 16)...)
	one = append(one, file[24:]...)
	if list, end := packetsOf(t, one); len(list) != 3 || end != io.EOF {
		t.Errorf("one such record: %d packets, %v", len(list), end)
	}
	var corrupt *pcapfile.CorruptError
	if list, end := packetsOf(t, append(bytes.Clone(file), make([]byte, 4096)...)); len(list) != 1 ||
		!errors.As(end, &corrupt) {
		t.Errorf("a page of zeros: %d packets, %v", len(list), end)
	}
}
