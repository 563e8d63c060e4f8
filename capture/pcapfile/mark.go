package pcapfile

import (
	"bufio"
	"encoding/binary"
	"io"

	"diagsh/capture"
)

// A Mark is a place between two records of a file. A Reader can begin there, without the part of
// the file before it. It is small and has no pointers, so that many of them can be kept.
type Mark struct {
	Offset     int64 // in the file, or in what it unpacks to
	section    int32 // pcapng: the first interface of the section
	interfaces int32 // that are described before the place
	big        bool  // the byte order of the section
}

// Same reports whether two marks differ in their offset only.
func (m Mark) Same(other Mark) bool {
	other.Offset = m.Offset
	return m == other
}

// A Layout is what a Reader has learned of a file: all that it takes to read on from a Mark. It
// does not change, whatever the Reader does later.
type Layout struct {
	format     capture.Format
	packed     bool
	nano       bool
	head       int
	swapped    func(kept, length uint32) bool
	interfaces []fileInterface
}

// Mark returns the place after the last record that was read.
func (r *Reader) Mark() Mark {
	return Mark{Offset: r.offset, section: int32(r.section), interfaces: int32(len(r.interfaces)),
		big: r.order == binary.BigEndian}
}

// Layout returns what the reader has learned so far.
func (r *Reader) Layout() Layout {
	return Layout{format: r.format, packed: r.packed, nano: r.nano, head: r.head, swapped: r.swapped,
		interfaces: r.interfaces[:len(r.interfaces):len(r.interfaces)]}
}

// Format returns the format of the file.
func (l Layout) Format() capture.Format { return l.format }

// Packed reports whether the file is packed: to read on from a mark, all before it is unpacked.
func (l Layout) Packed() bool { return l.packed }

// Interfaces returns the interfaces that are described.
func (l Layout) Interfaces() []capture.Interface {
	list := make([]capture.Interface, len(l.interfaces))
	for i := range list {
		list[i] = l.interfaces[i].Interface
	}
	return list
}

// Size returns how many bytes of memory the layout takes.
func (l Layout) Size() int64 {
	const each = 80
	size := int64(cap(l.interfaces)) * each
	for i := range l.interfaces {
		size += int64(len(l.interfaces[i].Name))
	}
	return size
}

// From returns a Reader of the same file that begins at a mark of it. It reads through in, whose
// state before does not matter, and nil is one of the usual size. The error is from the file, or
// io.ErrUnexpectedEOF if the mark is after its end.
func (l Layout) From(file io.ReadSeeker, m Mark, in *bufio.Reader) (*Reader, error) {
	r := &Reader{offset: m.Offset, format: l.format, packed: l.packed, order: binary.LittleEndian,
		nano: l.nano, head: l.head, swapped: l.swapped, section: int(m.section),
		interfaces: l.interfaces[:m.interfaces:m.interfaces]}
	if m.big {
		r.order = binary.BigEndian
	}
	start := m.Offset
	if l.packed {
		start = 0
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	if r.in = in; in == nil {
		r.in = bufio.NewReaderSize(file, buffer)
	} else {
		r.in.Reset(file)
	}
	if !l.packed {
		return r, nil
	}
	var err error
	if r.in, err = unpacked(r.in); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r.in, m.Offset); err != nil {
		return nil, rest(err)
	}
	return r, nil
}

// Interface returns one of the interfaces seen so far, by its number.
func (r *Reader) Interface(n uint32) capture.Interface { return r.interfaces[n].Interface }
