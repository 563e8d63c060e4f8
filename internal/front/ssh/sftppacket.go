package ssh

import (
	"encoding/binary"
	"slices"
)

// An sftpPacket is a request that is read member by member. A read beyond its end gives zero
// values, and is noted.
type sftpPacket struct {
	kind  byte
	rest  []byte
	short bool
}

// take returns the next n bytes.
func (p *sftpPacket) take(n int) []byte {
	if p.short || len(p.rest) < n {
		p.short = true
		return nil
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *sftpPacket) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *sftpPacket) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (p *sftpPacket) string() string { return string(p.take(int(p.uint32()))) }

// bad reports whether the request was too short, and answers so.
func (p *sftpPacket) bad(s *sftpServer, id uint32) bool {
	if p.short {
		s.status(id, fxBadMessage, "The request is not complete.")
	}
	return p.short
}

// An sftpAnswer is being written after the answers that wait to be sent.
type sftpAnswer struct {
	server *sftpServer
	start  int
}

// begin begins an answer. The caller ends or drops it.
func (s *sftpServer) begin(kind byte) sftpAnswer {
	start := len(s.answers)
	s.answers = append(s.answers, 0, 0, 0, 0, kind) // the length is known at the end
	return sftpAnswer{s, start}
}

// end sets the length of the answer.
func (a sftpAnswer) end() {
	written := a.server.answers[a.start:]
	binary.BigEndian.PutUint32(written, uint32(len(written)-4))
}

// drop takes the answer back.
func (a sftpAnswer) drop() { a.server.answers = a.server.answers[:a.start] }

func (a sftpAnswer) uint32(n uint32) {
	a.server.answers = binary.BigEndian.AppendUint32(a.server.answers, n)
}

func (a sftpAnswer) uint64(n uint64) {
	a.server.answers = binary.BigEndian.AppendUint64(a.server.answers, n)
}

func (a sftpAnswer) string(text string) {
	a.uint32(uint32(len(text)))
	a.server.answers = append(a.server.answers, text...)
}

// data writes a string of up to limit bytes that fill reads.
func (a sftpAnswer) data(limit int, fill func([]byte) (int, error)) (int, error) {
	at := len(a.server.answers)
	a.uint32(0)
	body := len(a.server.answers)
	a.server.answers = slices.Grow(a.server.answers, limit)
	n, err := fill(a.server.answers[body : body+limit])
	a.server.answers = a.server.answers[:body+n]
	binary.BigEndian.PutUint32(a.server.answers[at:], uint32(n))
	return n, err
}

// attributes writes attributes (section 5 of the draft).
func (a sftpAnswer) attributes(e entry) {
	a.uint32(fxAttrFlags)
	a.uint64(uint64(e.bytes))
	a.uint32(e.unixMode())
	a.uint32(uint32(e.time.Unix())) // read
	a.uint32(uint32(e.time.Unix())) // written
}
