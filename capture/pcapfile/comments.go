package pcapfile

import (
	"encoding/binary"
	"errors"
	"io"

	"diagsh/capture"
)

// EachCommented reads a pcapng file and calls do with each packet, its interface, and the comments
// that it has. They are valid until do returns, whose error ends the reading. A packet at the end that
// is not whole is left out. The error is that of NewReader or Reader.Next, or of do.
func EachCommented(in io.Reader, do func(p *capture.Packet, on capture.Interface, comments []string) error) error {
	var last lastBlock
	r := &Reader{copy: &last, say: func(*capture.Packet) Said { return Said{} }}
	err := r.begin(in)
	for err == nil {
		var p capture.Packet
		last.block = last.block[:0]
		if err = r.Next(&p); err == nil {
			err = do(&p, r.interfaces[p.Interface].Interface, commentsOf(r.order, last.block, len(p.Data)))
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// A lastBlock keeps the block that was read last.
type lastBlock struct{ block []byte }

func (l *lastBlock) Write(b []byte) (int, error) {
	l.block = append(l.block[:0], b...)
	return len(b), nil
}

// commentsOf returns the comments in the block of a packet of which kept bytes are there.
func commentsOf(o binary.ByteOrder, block []byte, kept int) (comments []string) {
	const data = 8 + packetFixedSize
	from := data + kept + padding(kept)
	if len(block) < from+4 || o.Uint32(block) == blockSimple {
		return nil
	}
	for rest := block[from : len(block)-4]; len(rest) >= 4; {
		code, length := o.Uint16(rest), int(o.Uint16(rest[2:]))
		if code == 0 || len(rest) < 4+length {
			break
		}
		if code == optionComment {
			comments = append(comments, string(rest[4:4+length]))
		}
		rest = rest[min(len(rest), 4+length+padding(length)):]
	}
	return comments
}
