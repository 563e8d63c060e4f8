package pcapfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"diagsh/capture"
)

// Reader reads the packets of a capture file: both formats and byte orders, all versions that
// tcpdump has written, also packed by gzip. It takes files from strangers: whatever they contain,
// it needs no more memory than a few of the longest packets.
//
// A pcapng file may have several sections with their own interfaces; the Reader numbers all
// interfaces of the file in one series.
type Reader struct {
	in     *bufio.Reader
	offset int64 // after the last whole record
	format capture.Format
	packed bool // by gzip
	order  binary.ByteOrder

	nano    bool                           // classic: timestamps are in nanoseconds
	head    int                            // classic: bytes before a packet
	swapped func(kept, length uint32) bool // classic: whether the two lengths are in the other order

	interfaces []fileInterface
	section    int // pcapng: the first interface of this section

	body []byte

	copy io.Writer                  // pcapng: gets every block; nil is none
	say  func(*capture.Packet) Said // what is said of the next packet in the copy

	blocks    processBlocks // of this section of the copy
	processes *[]Process    // gets those of this section; nil: they do not matter
}

type fileInterface struct {
	capture.Interface
	snapLength uint32
	units      uint64 // of a timestamp, per second
	offset     int64  // seconds to add to it
}

// CorruptError says where a file is malformed. A file that just ends in the middle of a record is
// reported as io.ErrUnexpectedEOF.
type CorruptError struct {
	Offset int64 // of the record
	Text   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the capture file is corrupt at byte %d: %s", e.Offset, e.Text)
}

// ErrNoCapture reports that the file is not a capture file, or too short to be one.
var ErrNoCapture = errors.New("this is not a pcap or pcapng file")

const (
	maxInterfaces = 10000
	maxNameLength = 255

	// maxBlock is enough for the longest packet with all options that fit in a block.
	maxBlock = 1 << 20

	buffer = 256 << 10
)

// NewReader reads the beginning of a file. The error is ErrNoCapture, a *PackedError, a
// *CorruptError, or from in.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{}
	if err := r.begin(in); err != nil {
		return nil, err
	}
	return r, nil
}

// begin reads the beginning of a file.
func (r *Reader) begin(in io.Reader) error {
	r.in = bufio.NewReaderSize(in, buffer)
	magic, err := r.in.Peek(4)
	if err != nil {
		return noCapture(err)
	}
	if isPacked(magic) {
		r.packed = true
		if r.in, err = unpacked(r.in); err != nil {
			return err
		}
		if magic, err = r.in.Peek(4); err != nil {
			return noCapture(err)
		}
	}
	switch {
	case order.Uint32(magic) == blockSection:
		r.format = capture.PCAPNG
		if err := r.readBlock(nil); err != nil {
			return noCapture(err)
		}
		return nil
	case isMagic(binary.LittleEndian.Uint32(magic)):
		r.order = binary.LittleEndian
	case isMagic(binary.BigEndian.Uint32(magic)):
		r.order = binary.BigEndian
	default:
		return packed(magic)
	}
	r.format = capture.PCAP
	header, err := r.read(pcapHeaderSize)
	if err != nil {
		return noCapture(err)
	}
	r.nano, r.head = r.order.Uint32(header) == magicNano, pcapRecordSize
	if r.order.Uint32(header) == magicModified {
		r.head = modifiedRecordSize
	}
	// Until version 2.3 the lengths were in the other order, and in 2.3 in either (libpcap,
	// sf-pcap.c).
	switch minor := r.order.Uint16(header[6:]); {
	case minor < 3:
		r.swapped = func(uint32, uint32) bool { return true }
	case minor == 3:
		r.swapped = func(kept, length uint32) bool { return kept > length }
	}
	if major := r.order.Uint16(header[4:]); major != 2 {
		return &CorruptError{0, fmt.Sprintf("version %d is not known", major)}
	}
	r.interfaces = []fileInterface{{
		// The upper bits say how long the frame check sequence is.
		Interface:  capture.Interface{LinkType: capture.LinkType(r.order.Uint32(header[20:]))},
		snapLength: r.order.Uint32(header[16:]),
	}}
	r.offset = pcapHeaderSize
	return nil
}

// Begins reports whether a file with these first four bytes may be a capture file. A file of gzip
// may contain anything.
func Begins(magic []byte) bool {
	return len(magic) >= 4 && (order.Uint32(magic) == blockSection || isMagic(binary.LittleEndian.Uint32(magic)) ||
		isMagic(binary.BigEndian.Uint32(magic)) || isPacked(magic))
}

func isMagic(n uint32) bool { return n == magicMicro || n == magicNano || n == magicModified }

func noCapture(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrNoCapture
	}
	return err
}

// Format returns the file's format.
func (r *Reader) Format() capture.Format { return r.format }

// Interfaces returns those seen so far: a pcapng file may bring more with any packet. A classic
// file has one, without a name.
func (r *Reader) Interfaces() []capture.Interface {
	interfaces := make([]capture.Interface, len(r.interfaces))
	for i := range r.interfaces {
		interfaces[i] = r.interfaces[i].Interface
	}
	return interfaces
}

// NumInterfaces returns the number of Interfaces.
func (r *Reader) NumInterfaces() int { return len(r.interfaces) }

// Offset returns where the last whole record ends.
func (r *Reader) Offset() int64 { return r.offset }

// Next reads a packet. Its data are valid until the next call. The error is io.EOF at the end,
// io.ErrUnexpectedEOF if that is in the middle of a record, a *CorruptError, or from the underlying
// reader.
func (r *Reader) Next(p *capture.Packet) error {
	if r.format == capture.PCAP {
		return r.readRecord(p)
	}
	for {
		*p = capture.Packet{}
		if err := r.readBlock(p); err != nil {
			return err
		}
		if p.Data != nil {
			return nil
		}
	}
}

func (r *Reader) corrupt(format string, arguments ...any) error {
	return &CorruptError{r.offset, fmt.Sprintf(format, arguments...)}
}

// read reads n bytes, which are valid until the next call. io.EOF means that there was none.
func (r *Reader) read(n int) ([]byte, error) {
	if cap(r.body) < n {
		r.body = make([]byte, n)
	}
	b := r.body[:n]
	_, err := io.ReadFull(r.in, b)
	return b, err
}

// rest converts the error of reading what must follow: io.EOF becomes io.ErrUnexpectedEOF.
func rest(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *Reader) readRecord(p *capture.Packet) error {
	head, err := r.read(r.head)
	if err != nil {
		return err
	}
	seconds, fraction := r.order.Uint32(head), r.order.Uint32(head[4:])
	kept, length := r.order.Uint32(head[8:]), r.order.Uint32(head[12:])
	if r.swapped != nil && r.swapped(kept, length) {
		kept, length = length, kept
	}
	switch {
	case kept > capture.MaxSnapLength:
		return r.corrupt("a packet of %d bytes", kept)
	case seconds == 0 && fraction == 0 && kept == 0 && length == 0:
		// One such record is a packet without length. More of them are zeros of a file system after
		// a power cut.
		if next, _ := r.in.Peek(pcapRecordSize); len(next) == pcapRecordSize && zeros(next) {
			return r.corrupt("zeros in the place of a packet")
		}
	}
	data, err := r.read(int(kept))
	if err != nil {
		return rest(err)
	}
	scale := int64(1000)
	if r.nano {
		scale = 1
	}
	*p = capture.Packet{Time: int64(seconds)*1e9 + int64(fraction)*scale, Data: data, Length: length}
	r.offset += int64(r.head) + int64(kept)
	return nil
}

// readBlock reads one block. If it is a packet's, p has data after that.
func (r *Reader) readBlock(p *capture.Packet) error {
	head, err := r.in.Peek(8)
	switch {
	case len(head) == 0:
		return err
	case len(head) < 8:
		return rest(err)
	}
	if bytes.Equal(head[:4], []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		if head, err = r.readOrder(); err != nil {
			return err
		}
	}
	kind, length := r.order.Uint32(head), r.order.Uint32(head[4:])
	if length < blockFrameSize || length%4 != 0 {
		return r.corrupt("a block of %d bytes", length)
	}

	var decode func([]byte, *capture.Packet) error
	switch kind {
	case blockSection:
		decode = r.decodeSection
	case blockInterface:
		decode = r.decodeInterface
	case blockPacket, blockOldPacket:
		decode = r.decodePacket
	case blockSimple:
		decode = r.decodeSimple
	case blockProcess:
		r.blocks.other()
		if length > maxBlock {
			return r.skip(length)
		}
		decode = r.decodeProcess
	default:
		return r.skip(length)
	}
	if length > maxBlock {
		return r.corrupt("a block of %d bytes", length)
	}
	block, err := r.read(int(length))
	if err != nil {
		return rest(err)
	}
	if r.order.Uint32(block[length-4:]) != length {
		return r.corrupt("a block with two different lengths")
	}
	if err := decode(block[:length-4], p); err != nil {
		return err
	}
	r.offset += int64(length)
	if r.copy != nil {
		return r.pass(kind, block, p)
	}
	return nil
}

// readOrder reads the byte order of a section, which its header has in the four bytes after the usual
// eight. All blocks of the section have it. head is the header until there; a Peek before is not
// valid any more.
func (r *Reader) readOrder() (head []byte, err error) {
	head, err = r.in.Peek(12)
	if err != nil {
		return nil, rest(err)
	}
	switch {
	case binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic:
		r.order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[8:]) == byteOrderMagic:
		r.order = binary.BigEndian
	default:
		return nil, r.corrupt("a section in no byte order")
	}
	return head, nil
}

// skip skips a block of a kind that does not matter here.
func (r *Reader) skip(length uint32) error {
	out := r.copy
	if out == nil {
		out = io.Discard
	}
	if _, err := io.CopyN(out, r.in, int64(length)-4); err != nil {
		return rest(err)
	}
	end, err := r.read(4)
	if err != nil {
		return rest(err)
	}
	if r.order.Uint32(end) != length {
		return r.corrupt("a block with two different lengths")
	}
	r.offset += int64(length)
	_, err = out.Write(end)
	return err
}

func (r *Reader) decodeSection(block []byte, _ *capture.Packet) error {
	if len(block) < 24 {
		return r.corrupt("a section header of %d bytes", len(block)+4)
	}
	if major := r.order.Uint16(block[12:]); major != 1 {
		return r.corrupt("version %d is not known", major)
	}
	r.section = len(r.interfaces)
	if r.processes != nil {
		*r.processes = nil
	}
	return nil
}

func (r *Reader) decodeInterface(block []byte, _ *capture.Packet) error {
	switch {
	case len(block) < 16:
		return r.corrupt("an interface block of %d bytes", len(block)+4)
	case len(r.interfaces) == maxInterfaces:
		return r.corrupt("more than %d interfaces", maxInterfaces)
	}
	i := fileInterface{
		Interface:  capture.Interface{LinkType: capture.LinkType(r.order.Uint16(block[8:]))},
		snapLength: r.order.Uint32(block[12:]),
		units:      1e6,
	}
	r.options(block[16:], func(code uint16, value []byte) {
		switch {
		case code == interfaceName:
			i.Name = string(value[:min(len(value), maxNameLength)])
		case code == interfaceTime && len(value) == 1:
			i.units = units(value[0])
		case code == interfaceOffset && len(value) == 8:
			i.offset = int64(r.order.Uint64(value))
		}
	})
	if i.units == 0 {
		return r.corrupt("an interface with an impossible resolution of time")
	}
	r.interfaces = append(r.interfaces, i)
	return nil
}

// units returns how many units of time a second has, or 0 for a resolution that is too fine.
func units(resolution byte) uint64 {
	if exponent := resolution & 0x7f; resolution&0x80 != 0 {
		return uint64(1) << exponent // 0 from 64 on
	} else if exponent < 20 {
		n := uint64(1)
		for range exponent {
			n *= 10
		}
		return n
	}
	return 0
}

// decodePacket decodes a packet block, or the obsolete kind of block.
func (r *Reader) decodePacket(block []byte, p *capture.Packet) error {
	const data = 8 + packetFixedSize
	if len(block) < data {
		return r.corrupt("a packet block of %d bytes", len(block)+4)
	}
	id := r.order.Uint32(block[8:])
	if r.order.Uint32(block) == blockOldPacket {
		id = uint32(r.order.Uint16(block[8:])) // followed by a counter of drops
	}
	kept := r.order.Uint32(block[20:])
	switch {
	case int64(id) >= int64(len(r.interfaces)-r.section):
		return r.corrupt("a packet of interface %d, which is not described", id)
	case kept > capture.MaxSnapLength || int(kept) > len(block)-data:
		return r.corrupt("a packet of %d bytes", kept)
	}
	number := r.section + int(id)
	stamp := uint64(r.order.Uint32(block[12:]))<<32 | uint64(r.order.Uint32(block[16:]))
	*p = capture.Packet{
		Time:      r.interfaces[number].time(stamp),
		Data:      block[data : data+int(kept) : data+int(kept)],
		Length:    r.order.Uint32(block[24:]),
		Interface: uint32(number),
	}
	options := data + int(kept) + padding(int(kept))
	r.options(block[min(options, len(block)):], func(code uint16, value []byte) {
		if code == packetFlags && len(value) == 4 {
			p.Direction = direction(r.order.Uint32(value))
		}
	})
	return nil
}

// decodeSimple decodes a packet of the section's first interface, without a time.
func (r *Reader) decodeSimple(block []byte, p *capture.Packet) error {
	switch {
	case len(block) < 12:
		return r.corrupt("a packet block of %d bytes", len(block)+4)
	case len(r.interfaces) == r.section:
		return r.corrupt("a packet of interface 0, which is not described")
	}
	length := r.order.Uint32(block[8:])
	kept := length
	if snap := r.interfaces[r.section].snapLength; snap != 0 {
		kept = min(kept, snap)
	}
	if kept > capture.MaxSnapLength || int(kept) > len(block)-12 {
		return r.corrupt("a packet of %d bytes", kept)
	}
	*p = capture.Packet{Data: block[12 : 12+int(kept) : 12+int(kept)], Length: length, Interface: uint32(r.section)}
	return nil
}

func (r *Reader) options(list []byte, f func(code uint16, value []byte)) {
	eachOption(r.order, list, f)
}

// eachOption calls f for each option of a list. One that crosses the end is the last.
func eachOption(o binary.ByteOrder, list []byte, f func(code uint16, value []byte)) {
	for len(list) >= 4 {
		code, length := o.Uint16(list), int(o.Uint16(list[2:]))
		list = list[4:]
		if code == optionEnd || length > len(list) {
			return
		}
		f(code, list[:length])
		list = list[min(length+padding(length), len(list)):]
	}
}

// time converts an interface's timestamp to nanoseconds.
func (i *fileInterface) time(stamp uint64) int64 {
	seconds, fraction := stamp/i.units, stamp%i.units
	high, low := bits.Mul64(fraction, 1e9)
	nanoseconds, _ := bits.Div64(high, low, i.units)
	return (int64(seconds)+i.offset)*1e9 + int64(nanoseconds)
}
