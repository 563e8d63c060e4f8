package pcapfile

import (
	"errors"
	"io"
	"iter"

	"diagsh/capture"
)

// Merge copies a pcapng file of this appliance with the packets of another one among its own, which
// are of one interface more: each stands before the first packet that is later. Packets of the other
// file that are not wanted, by their times, are left out; so is what is not whole at its end. The error
// is that of Reader.Next for the first file, or from out.
func Merge(out io.Writer, in, other io.Reader, wanted func(nanoseconds int64) bool) error {
	next, stop := iter.Pull(packetBlocks(other))
	defer stop()
	m := &merger{out: out, next: next, wanted: wanted}
	m.advance()
	r := &Reader{copy: m, say: func(p *capture.Packet) Said {
		m.until(p.Time)
		return Said{}
	}}
	err := r.begin(in)
	for err == nil {
		var p capture.Packet
		err = r.readBlock(&p)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	m.until(1<<63 - 1)
	return m.err
}

// A packetBlock is the block of one packet.
type packetBlock struct {
	time  int64
	on    capture.Interface
	block []byte
}

// packetBlocks reads the blocks of packets of a file, until one is not whole. A block is valid until
// the next.
func packetBlocks(in io.Reader) iter.Seq[packetBlock] {
	return func(yield func(packetBlock) bool) {
		var last lastBlock
		r := &Reader{copy: &last, say: func(*capture.Packet) Said { return Said{} }}
		err := r.begin(in)
		for err == nil {
			var p capture.Packet
			last.block = last.block[:0]
			if err = r.readBlock(&p); err == nil && p.Data != nil &&
				!yield(packetBlock{p.Time, r.interfaces[p.Interface].Interface, last.block}) {
				return
			}
		}
	}
}

// A merger is given the blocks of a file, and writes them with the packets of another.
type merger struct {
	out    io.Writer
	next   func() (packetBlock, bool)
	wanted func(int64) bool
	err    error // of out; nothing is written after it

	other packetBlock // the next packet of the other file
	more  bool        // there is one

	part       []byte // the beginning of a block
	interfaces uint32 // of the section
	own        uint32 // the number of the other file's interface in it
	introduced bool   // the section has that interface
}

// advance takes the next packet of the other file that is wanted.
func (m *merger) advance() {
	for m.other, m.more = m.next(); m.more && !m.wanted(m.other.time); {
		m.other, m.more = m.next()
	}
}

// until writes the packets of the other file that are not later than a time.
func (m *merger) until(nanoseconds int64) {
	for ; m.more && m.other.time <= nanoseconds; m.advance() {
		if !m.introduced {
			m.own, m.introduced = m.interfaces, true
			m.write(appendInterface(nil, capture.FileHeader{SnapLength: capture.MaxSnapLength}, m.other.on))
		}
		order.PutUint32(m.other.block[8:], m.own)
		m.write(m.other.block)
	}
}

func (m *merger) write(b []byte) {
	if m.err == nil {
		_, m.err = m.out.Write(b)
	}
}

// Write takes the next part of the first file.
func (m *merger) Write(b []byte) (int, error) {
	m.part = append(m.part, b...)
	for len(m.part) >= 8 {
		length := int(order.Uint32(m.part[4:]))
		if len(m.part) < length {
			break
		}
		m.renumber(m.part[:length])
		m.write(m.part[:length])
		m.part = append(m.part[:0], m.part[length:]...)
	}
	return len(b), m.err
}

// renumber makes room in the numbers of the interfaces for the other file's.
func (m *merger) renumber(block []byte) {
	switch kind := order.Uint32(block); kind {
	case blockSection:
		m.interfaces, m.introduced = 0, false
	case blockInterface:
		m.interfaces++
	case blockPacket, blockStatistics:
		if n := order.Uint32(block[8:]); m.introduced && n >= m.own {
			order.PutUint32(block[8:], n+1)
		}
	}
}
