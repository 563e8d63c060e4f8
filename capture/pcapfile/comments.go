package pcapfile

import (
	"encoding/binary"
	"errors"
	"io"

	"diagsh/capture"
)

// EachSaid reads a file and calls do with each packet, its interface, and what the file says
// of it. They are valid until do returns, whose error ends the reading. A packet at the end that
// is not whole is left out. The error is that of NewReader or Reader.Next, or of do.
func EachSaid(in io.Reader, do func(p *capture.Packet, on capture.Interface, said Said) error) error {
	var last lastBlock
	var processes []Process
	r := &Reader{copy: &last, say: func(*capture.Packet) Said { return Said{} }, processes: &processes}
	err := r.begin(in)
	for err == nil {
		var p capture.Packet
		last.block = last.block[:0]
		if err = r.Next(&p); err == nil {
			err = do(&p, r.interfaces[p.Interface].Interface, saidIn(r.order, last.block, len(p.Data), processes))
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

// saidIn returns what the block of a packet says of which kept bytes are there, in a section with
// processes.
func saidIn(o binary.ByteOrder, block []byte, kept int, processes []Process) (said Said) {
	if len(block) < 4 || o.Uint32(block) == blockSimple || len(block) < 8+packetFixedSize+kept+padding(kept)+4 {
		return said
	}
	eachOption(o, optionsOf(block, kept), func(code uint16, value []byte) {
		switch {
		case code == optionComment:
			said.Comments = append(said.Comments, string(value))
		case code == packetProcess && len(value) == 8:
			said.PID = int(int32(o.Uint32(value)))
		case code == packetProcessBlock && len(value) == 4:
			if place := int64(o.Uint32(value)); place < int64(len(processes)) {
				said.Process = processes[place]
			}
		}
	})
	return said
}
