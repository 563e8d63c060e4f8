package pcapfile

import (
	"io"
	"time"

	"diagsh/capture"
)

// Stream writes a capture to a reader while it grows. Each Write passes on whole records at once.
type Stream struct {
	out    io.Writer
	header capture.FileHeader
	counts []uint64 // of packets, by interface
	buffer []byte
	blocks processBlocks
}

// NewStream starts a capture without a size limit. The error is capture.ErrMixedLinkTypes, or from
// out.
func NewStream(out io.Writer, h capture.FileHeader) (*Stream, error) {
	s := &Stream{out: out, header: h, counts: make([]uint64, len(h.Interfaces))}
	if h.Format == capture.PCAPNG {
		return s, s.send(appendSection(nil, h))
	}
	for _, i := range h.Interfaces[1:] {
		if i.LinkType != h.Interfaces[0].LinkType {
			return nil, capture.ErrMixedLinkTypes
		}
	}
	return s, s.send(appendPcapHeader(nil, h))
}

// AddInterface adds the next interface, for packets after this call. The error is
// capture.ErrMixedLinkTypes, or from out.
func (s *Stream) AddInterface(i capture.Interface) error {
	if s.header.Format != capture.PCAPNG && i.LinkType != s.header.Interfaces[0].LinkType {
		return capture.ErrMixedLinkTypes
	}
	s.counts = append(s.counts, 0)
	if s.header.Format != capture.PCAPNG {
		return nil
	}
	return s.send(appendInterface(s.buffer[:0], s.header, i))
}

// Write appends packets.
func (s *Stream) Write(batch []capture.Packet) error {
	return s.WriteSaying(batch, func(int) Said { return Said{} })
}

// WriteSaying appends packets with what say says of each, by its index, for which pcap has no place.
func (s *Stream) WriteSaying(batch []capture.Packet, say func(n int) Said) error {
	b := s.buffer[:0]
	for i := range batch {
		s.counts[batch[i].Interface]++
		if b = s.append(b, &batch[i], say(i)); len(b) >= streamPiece {
			if err := s.send(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	return s.send(b)
}

// WriteCommented appends one packet with comments, for which pcap has no place. Empty ones are left
// out.
func (s *Stream) WriteCommented(p *capture.Packet, comments ...string) error {
	return s.WriteSaid(p, Said{Comments: comments})
}

// WriteSaid appends one packet with what is said of it, for which pcap has no place.
func (s *Stream) WriteSaid(p *capture.Packet, said Said) error {
	s.counts[p.Interface]++
	return s.send(s.append(s.buffer[:0], p, said))
}

// End ends the stream with the counters of its interfaces, for which pcap has no place.
func (s *Stream) End(counters []capture.Counters) error {
	if s.header.Format != capture.PCAPNG {
		return nil
	}
	b, now := s.buffer[:0], time.Now()
	for id := range s.counts {
		b = appendStatistics(b, id, counters[id], s.counts[id], s.header.Start, now, 1)
	}
	return s.send(b)
}

// streamPiece is about how much is written at a time.
const streamPiece = 64 << 10

func (s *Stream) send(b []byte) error {
	s.buffer = b
	if len(b) == 0 {
		return nil
	}
	_, err := s.out.Write(b)
	return err
}

func (s *Stream) append(b []byte, p *capture.Packet, said Said) []byte {
	if s.header.Format == capture.PCAP {
		b = order.AppendUint32(b, uint32(p.Time/1e9))
		b = order.AppendUint32(b, uint32(p.Time%1e9))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = order.AppendUint32(b, p.Length)
		return append(b, p.Data...)
	}
	place := uint32(noBlock)
	if said.Process.PID > 0 {
		b, place = s.blocks.refer(order, b, said.Process)
	}
	b, start := beginBlock(b, blockPacket)
	b = order.AppendUint32(b, p.Interface)
	b = order.AppendUint32(b, uint32(p.Time>>32))
	b = order.AppendUint32(b, uint32(p.Time))
	b = order.AppendUint32(b, uint32(len(p.Data)))
	b = order.AppendUint32(b, p.Length)
	b = append(b, p.Data...)
	b = append(b, "\x00\x00\x00"[:padding(len(p.Data))]...)
	b = said.append(order, b, place)
	b = order.AppendUint16(b, packetFlags)
	b = order.AppendUint16(b, 4)
	b = order.AppendUint32(b, flags(p.Direction))
	b = order.AppendUint32(b, optionEnd)
	return endBlock(b, start)
}
