package pcapfile

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"diagsh/capture"
)

// A Said is what a file says of a packet beside the packet.
type Said struct {
	Comments []string // empty ones are left out

	// PID is the process that the packet is of (option epb_processid_threadid); 0 is none.
	PID int

	// Process, if it has a number, is the process that the packet is of, in a block of its own: tcpdump
	// of macOS writes such blocks, and Wireshark from 4.6 on makes fields of them.
	Process Process
}

func (s Said) nothing() bool {
	return s.PID == 0 && s.Process.PID == 0 && !slices.ContainsFunc(s.Comments, func(c string) bool { return c != "" })
}

// CopyCommented copies a pcapng file, as it is or packed by gzip, with comments on its packets. All
// else stays as it is, also comments that the packets have. say returns what is said of a packet, by
// its number in the file, from 1. A packet at the end that is not whole is left out. The error is
// that of NewReader or Reader.Next, or from out.
func CopyCommented(out io.Writer, in io.Reader, say func(number int64, p *capture.Packet, on capture.Interface) Said) error {
	r := &Reader{copy: out}
	number := int64(0)
	r.say = func(p *capture.Packet) Said {
		number++
		return say(number, p, r.interfaces[p.Interface].Interface)
	}
	err := r.begin(in)
	for err == nil {
		var p capture.Packet
		err = r.readBlock(&p)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// pass copies a whole block. p is the packet that it has, if its kind is that of packets.
func (r *Reader) pass(kind uint32, block []byte, p *capture.Packet) error {
	switch kind {
	case blockSection:
		r.blocks = processBlocks{}
	case blockPacket, blockOldPacket, blockSimple:
		said := r.say(p)
		if kind != blockSimple && r.blocks.correct(r.order, optionsOf(block, len(p.Data))) {
			said.Process = Process{} // the file says it itself
		}
		if said.nothing() {
			break
		}
		var process []byte
		place := uint32(noBlock)
		if said.Process.PID > 0 {
			process, place = r.blocks.refer(r.order, nil, said.Process)
		}
		block = append(process, commented(r.order, block, said, len(p.Data), place)...)
	}
	_, err := r.copy.Write(block)
	return err
}

// optionsOf returns the options of the block of a packet, other than a simple one, of which kept
// bytes are there.
func optionsOf(block []byte, kept int) []byte {
	const data = 8 + packetFixedSize
	return block[data+kept+padding(kept) : len(block)-4]
}

// commented returns the block of a packet of which kept bytes are there with more options; the block
// of its process is in a place. A simple block, which has no options, becomes one that has; it has no
// time, which is 0 then, as Reader says it.
func commented(o binary.ByteOrder, block []byte, said Said, kept int, place uint32) []byte {
	const simpleData, data = 12, 8 + packetFixedSize
	kind, head, from := o.Uint32(block), block[8:data:data], data
	if kind == blockSimple {
		kind, from = blockPacket, simpleData
		head = make([]byte, packetFixedSize)
		o.PutUint32(head[12:], uint32(kept))
		copy(head[16:], block[8:simpleData])
	}
	var options []byte
	if from == data {
		options = optionsOf(block, kept)
	}
	b := make([]byte, 8, len(block)+512)
	o.PutUint32(b, kind)
	b = append(b, head...)
	b = append(b, block[from:from+kept]...)
	b = append(b, "\x00\x00\x00"[:padding(kept)]...)
	b = said.append(o, b, place)
	b = append(b, options...)
	if len(options) == 0 {
		b = appendUint16s(o, b, optionEnd, 0)
	}
	length := uint32(len(b) + 4)
	o.PutUint32(b[4:], length)
	var end [4]byte
	o.PutUint32(end[:], length)
	return append(b, end[:]...)
}

// append appends the options that say it. The block of the process is in a place.
func (s Said) append(o binary.ByteOrder, b []byte, place uint32) []byte {
	for _, text := range s.Comments {
		if text == "" {
			continue
		}
		text = text[:min(len(text), maxComment)]
		b = appendUint16s(o, b, optionComment, uint16(len(text)))
		b = append(b, text...)
		b = append(b, "\x00\x00\x00"[:padding(len(text))]...)
	}
	if s.PID > 0 {
		b = appendUint16s(o, b, packetProcess, 8)
		b = append(b, make([]byte, 8)...) // the thread is 0: it is not known
		o.PutUint32(b[len(b)-8:], uint32(s.PID))
	}
	if s.Process.PID > 0 {
		b = appendUint16s(o, b, packetProcessBlock, 4)
		b = appendUint32s(o, b, place)
	}
	return b
}

// packetProcess is the option epb_processid_threadid of a packet (draft-ietf-opsawg-pcapng).
const packetProcess = 8

// maxComment is the largest number of bytes of a comment that is copied.
const maxComment = 1<<16 - 4

func appendUint16s(o binary.ByteOrder, b []byte, numbers ...uint16) []byte {
	for _, n := range numbers {
		b = append(b, 0, 0)
		o.PutUint16(b[len(b)-2:], n)
	}
	return b
}
