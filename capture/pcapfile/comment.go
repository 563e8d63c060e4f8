package pcapfile

import (
	"encoding/binary"
	"errors"
	"io"

	"diagsh/capture"
)

// CopyCommented copies a pcapng file, as it is or packed by gzip, with comments on its packets. All
// else stays as it is, also comments that the packets have. comment returns what is said of a packet
// by its number in the file, from 1; empty is nothing. A packet at the end that is not whole is left
// out. The error is that of NewReader or Reader.Next, or from out.
func CopyCommented(out io.Writer, in io.Reader, comment func(number int64) string) error {
	r := &Reader{copy: out}
	number := int64(0)
	r.comment = func() string {
		number++
		return comment(number)
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
	case blockPacket, blockOldPacket, blockSimple:
		if text := r.comment(); text != "" {
			block = commented(r.order, block, text, len(p.Data))
		}
	}
	_, err := r.copy.Write(block)
	return err
}

// commented returns the block of a packet of which kept bytes are there with one more option, a
// comment. A simple block, which has no options, becomes one that has; it has no time, which is 0
// then, as Reader says it.
func commented(o binary.ByteOrder, block []byte, text string, kept int) []byte {
	const simpleData, data = 12, 8 + packetFixedSize
	kind, head, from := o.Uint32(block), block[8:data:data], data
	if kind == blockSimple {
		kind, from = blockPacket, simpleData
		head = make([]byte, packetFixedSize)
		o.PutUint32(head[12:], uint32(kept))
		copy(head[16:], block[8:simpleData])
	}
	options := block[from+kept+padding(kept) : len(block)-4]
	if from == simpleData {
		options = nil
	}
	b := make([]byte, 8, len(block)+len(text)+64)
	o.PutUint32(b, kind)
	b = append(b, head...)
	b = append(b, block[from:from+kept]...)
	b = append(b, "\x00\x00\x00"[:padding(kept)]...)
	text = text[:min(len(text), maxComment)]
	b = appendUint16s(o, b, optionComment, uint16(len(text)))
	b = append(b, text...)
	b = append(b, "\x00\x00\x00"[:padding(len(text))]...)
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

// maxComment is the largest number of bytes of a comment that is copied.
const maxComment = 1<<16 - 4

func appendUint16s(o binary.ByteOrder, b []byte, numbers ...uint16) []byte {
	for _, n := range numbers {
		b = append(b, 0, 0)
		o.PutUint16(b[len(b)-2:], n)
	}
	return b
}
