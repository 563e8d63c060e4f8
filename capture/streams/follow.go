package streams

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/capture/index"
)

// A Chunk is bytes that one end sent, or a gap where bytes are missing.
type Chunk struct {
	Position int64 // of the packet that brought it, or after which the gap was known
	Time     int64 // of that packet, in nanoseconds
	From     int   // which end sent it
	Offset   int64 // in what this end sent
	Data     []byte
	Missing  int64 // bytes; then there are no Data
	Reason   Reason
}

// Reason says why bytes are missing.
type Reason string

// Reasons.
const (
	NotSeen  Reason = "not captured" // the other end acknowledged them, or they never came
	CutOff   Reason = "cut"          // the capture kept only the beginning of the packet
	TooLarge Reason = "out of order" // more came before them than is kept
)

// A Page is a part of a stream.
type Page struct {
	Chunks []Chunk
	Next   Cursor // where the next page begins
	More   bool   // there may be more
	Bytes  [2]int64
}

// A Cursor is a place in a stream. The zero value is its beginning.
type Cursor struct {
	begun  bool
	resume int64     // the packet to read on from
	done   int64     // packets up to this one have given all that they had
	next   [2]uint32 // TCP: the number of the next byte
	known  [2]bool   // of which end next is known
	offset [2]int64
	ended  bool // there is no more: another connection of the same ends has begun
}

// cursorSize is the length of a cursor's bytes.
const cursorSize = 1 + 8 + 8 + 4 + 4 + 8 + 8

// String returns the cursor as a text, for ParseCursor.
func (c Cursor) String() string {
	flags := byte(0)
	for i, is := range []bool{c.begun, c.known[0], c.known[1], c.ended} {
		if is {
			flags |= 1 << i
		}
	}
	b := []byte{flags}
	b = binary.BigEndian.AppendUint64(b, uint64(c.resume))
	b = binary.BigEndian.AppendUint64(b, uint64(c.done))
	b = binary.BigEndian.AppendUint32(b, c.next[0])
	b = binary.BigEndian.AppendUint32(b, c.next[1])
	b = binary.BigEndian.AppendUint64(b, uint64(c.offset[0]))
	b = binary.BigEndian.AppendUint64(b, uint64(c.offset[1]))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseCursor reads what String has written.
func ParseCursor(text string) (Cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != cursorSize || b[0]>>4 != 0 {
		return Cursor{}, errors.New("it is no place in a stream")
	}
	c := Cursor{begun: b[0]&1 != 0, known: [2]bool{b[0]&2 != 0, b[0]&4 != 0}, ended: b[0]&8 != 0}
	c.resume, c.done = int64(binary.BigEndian.Uint64(b[1:])), int64(binary.BigEndian.Uint64(b[9:]))
	c.next = [2]uint32{binary.BigEndian.Uint32(b[17:]), binary.BigEndian.Uint32(b[21:])}
	c.offset = [2]int64{int64(binary.BigEndian.Uint64(b[25:])), int64(binary.BigEndian.Uint64(b[33:]))}
	if c.resume < 0 || c.done < 0 || c.offset[0] < 0 || c.offset[1] < 0 {
		return Cursor{}, errors.New("it is no place in a stream")
	}
	return c, nil
}

// Packets are those that the filter of a stream selects, in their order: those of an index.View
// after its Wait.
type Packets interface {
	Rank(position int64) int64
	Page(ctx context.Context, first int64, count int, hand func(*index.Packet) error) error
}

// errFull ends a page.
var errFull = errors.New("the page is full")

// Begin returns the position of the first packet of the connection that a packet at a position
// belongs to, with the end that opened it, or else sent first, as the first of the stream. Of the
// same ports several connections may be there, one after the other.
func (s Stream) Begin(ctx context.Context, packets Packets, position int64) (Stream, int64, error) {
	begin, first := int64(0), s
	var syn [2]struct {
		known  bool
		number uint32
	}
	err := packets.Page(ctx, 1, all, func(p *index.Packet) error {
		if p.Position > position {
			return errFull
		}
		var r headers.Reader
		var h headers.Headers
		r.Read(&h, &p.Packet, p.On.LinkType)
		network, _ := h.Network()
		from := s.from(network, &h)
		if from < 0 {
			return nil
		}
		opens := h.Numbers && h.Flags&(headers.SYN|headers.ACK) == headers.SYN
		again := opens && syn[from].known && syn[from].number != h.Sequence
		if begin == 0 || again {
			begin, first = p.Position, s
			if from == 1 {
				first = s.turned()
			}
			if h.Numbers && h.Flags&(headers.SYN|headers.ACK) == headers.SYN|headers.ACK {
				first = first.turned()
			}
			syn[1-from].known = false
		}
		if h.Numbers && !syn[from].known || again {
			syn[from].known, syn[from].number = true, base(&h)
		}
		return nil
	})
	if errors.Is(err, errFull) {
		err = nil
	}
	if begin == 0 {
		begin = position
	}
	return first, begin, err
}

// all is a number of packets that no stream has.
const all = 1<<31 - 1

// base returns the number of the SYN that came before a packet, if that is its first.
func base(h *headers.Headers) uint32 {
	if h.Flags&headers.SYN != 0 {
		return h.Sequence
	}
	return h.Sequence - 1
}

// Follow returns the next part of a stream that begins at a position, of about most bytes. whole says
// that no more packets will come: what is missing then is a gap, and not awaited.
func (s Stream) Follow(ctx context.Context, packets Packets, begin int64, from Cursor, most int, whole bool) (
	Page, error) {
	f := &follower{stream: s, cursor: from, most: most, begin: begin, before: from.done}
	if !from.begun {
		f.cursor.begun, f.cursor.resume = true, begin
	}
	if !f.cursor.ended {
		err := packets.Page(ctx, packets.Rank(f.cursor.resume), all, f.packet)
		if err != nil && !errors.Is(err, errFull) {
			return Page{}, err
		}
		f.full = errors.Is(err, errFull) && !f.over
	}
	if f.settle(); !f.full && (whole || f.over || f.cursor.ended) {
		f.finish()
	}
	p := f.page()
	p.More = p.More || !whole && !f.cursor.ended
	return p, nil
}

// A follower puts one page together.
type follower struct {
	stream Stream
	begin  int64
	most   int
	before int64 // packets up to this one were taken by the pages before

	cursor    Cursor
	pending   [2][]segment // TCP: what came before what is missing, by its numbers
	held      [2]int       // bytes of it
	datagrams datagrams
	seen      int64
	last      index.Packet // without its data
	broken    *told        // what the last packet of the page before told
	settled   bool

	chunks []Chunk
	bytes  int
	full   bool
	over   bool // another connection of the same ends has begun
}

// told is what a packet tells of the bytes that an end has sent.
type told struct {
	from         int
	acknowledged bool
	number       uint32
	packet       index.Packet // without its data
}

// A segment is data that wait for those before them.
type segment struct {
	number   uint32
	data     []byte
	length   uint32 // on the wire
	position int64
	time     int64
}

// maxHeld is how many bytes wait for those before them, of each end.
const maxHeld = 1 << 20

// packet takes one packet of the stream, or a fragment that may be of it.
func (f *follower) packet(p *index.Packet) error {
	if p.Position > f.before {
		f.settle()
	}
	if f.bytes >= f.most {
		return errFull
	}
	f.seen++
	f.last = index.Packet{Position: p.Position, Packet: capture.Packet{Time: p.Time}}
	var r headers.Reader
	var h headers.Headers
	r.Read(&h, &p.Packet, p.On.LinkType)
	if h.Protocol == headers.IPv4Fragment || h.Protocol == headers.IPv6Fragment {
		var part fragment
		if !part.read(&h) {
			return nil
		}
		whole := f.datagrams.add(&part, p.Position, f.seen)
		if whole == nil {
			return f.advance(p.Position)
		}
		// It is a copy, as long as nothing reads a packet.
		r.Read(&h, &capture.Packet{Data: whole, Length: uint32(len(whole))}, capture.Raw)
	}
	network, _ := h.Network()
	from := f.stream.from(network, &h)
	switch {
	case from < 0:
	case f.stream.Transport == unix.IPPROTO_TCP:
		if f.another(&h, from, p.Position) {
			f.over = true
			return errFull
		}
		f.tcp(&h, from, p)
	case p.Position > f.cursor.done && h.Measured:
		f.datagram(&h, from, p)
	}
	return f.advance(p.Position)
}

// advance notes that a packet has given what it had.
func (f *follower) advance(position int64) error {
	f.cursor.done = max(f.cursor.done, position)
	if f.bytes >= f.most {
		return errFull
	}
	return nil
}

// another reports whether a packet opens another connection of the same ends.
func (f *follower) another(h *headers.Headers, from int, position int64) bool {
	return h.Flags&(headers.SYN|headers.ACK) == headers.SYN && position > f.begin && position > f.cursor.done &&
		f.cursor.known[from] && h.Sequence+1 != f.cursor.next[from]-uint32(f.cursor.offset[from])
}

// datagram adds the content of a datagram.
func (f *follower) datagram(h *headers.Headers, from int, p *index.Packet) {
	if h.Length == 0 {
		return
	}
	f.add(from, slices.Clone(h.Data[:min(len(h.Data), h.Length)]), p.Position, p.Time)
	if cut := h.Length - len(h.Data); cut > 0 {
		f.gap(from, int64(cut), CutOff, p.Position, p.Time)
	}
}

// add adds bytes to the page.
func (f *follower) add(from int, data []byte, position, time int64) {
	if len(data) == 0 {
		return
	}
	f.chunks = append(f.chunks, Chunk{Position: position, Time: time, From: from, Offset: f.cursor.offset[from], Data: data})
	f.cursor.offset[from] += int64(len(data))
	f.bytes += len(data)
}

// gap adds a gap to the page.
func (f *follower) gap(from int, missing int64, reason Reason, position, time int64) {
	f.chunks = append(f.chunks, Chunk{Position: position, Time: time, From: from, Offset: f.cursor.offset[from],
		Missing: missing, Reason: reason})
	f.cursor.offset[from] += missing
	f.bytes++ // many gaps fill a page too
}

// finish adds what waits at the end of all packets: what is missing before it will not come.
func (f *follower) finish() {
	for from := range f.pending {
		for len(f.pending[from]) > 0 && f.bytes < f.most {
			f.skip(from, NotSeen, f.last.Position, f.last.Time)
			f.drain(from)
		}
	}
}

// page returns what was put together.
func (f *follower) page() Page {
	more := f.full
	resume := f.cursor.done + 1
	for _, list := range f.pending {
		for _, s := range list {
			resume, more = min(resume, s.position), true
		}
	}
	f.cursor.ended = f.cursor.ended || f.over && !more
	f.cursor.resume = max(f.datagrams.oldest(resume), f.begin)
	return Page{Chunks: f.chunks, Next: f.cursor, More: more, Bytes: f.cursor.offset}
}
