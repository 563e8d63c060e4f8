package index

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"sort"
	"time"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/capture/pcapfile"
)

// ErrChanged reports that a file was replaced, or deleted, since the last Wait.
var ErrChanged = errors.New("the file has changed since it was looked at")

// A Packet is a packet with its place.
type Packet struct {
	capture.Packet
	Position int64 // in the capture, from 1
	File     int   // its file, of those of Open
	InFile   int64 // in its file, from 1
	On       capture.Interface
}

// A cursor reads packets of a view by their numbers. Going forward is cheap.
type cursor struct {
	view   *View
	part   int // that is open; -1: none
	file   *os.File
	in     *bufio.Reader
	reader *pcapfile.Reader
	next   int64 // the number in the file of the packet that is read next
	packet Packet
}

// pageBuffer is how much is read at a time for a page.
const pageBuffer = 32 << 10

func (v *View) cursor() *cursor {
	return &cursor{view: v, part: -1, in: bufio.NewReaderSize(nil, pageBuffer)}
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
}

// read returns a packet of a file by its number there, from 0. It is valid until the next read.
func (c *cursor) read(at int, number int64) (*Packet, error) {
	p := c.view.parts[at]
	if c.part != at {
		c.close()
		file, err := p.source.Open()
		if err != nil {
			return nil, err
		}
		c.part, c.file, c.reader = at, file, nil
	}
	if c.reader == nil || number < c.next || number-c.next > firstStride {
		layout, mark, skip := p.place(number)
		if skip < 0 {
			return nil, ErrChanged
		}
		if c.reader == nil || number < c.next || skip < number-c.next {
			var err error
			if c.reader, err = layout.From(c.file, mark, c.in); err != nil {
				return nil, err
			}
			c.next = number - skip
		}
	}
	for ; c.next <= number; c.next++ {
		if err := c.reader.Next(&c.packet.Packet); err != nil {
			c.reader = nil
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = ErrChanged
			}
			return nil, err
		}
	}
	c.packet.On = c.reader.Interface(c.packet.Interface)
	c.packet.File, c.packet.InFile = at, number+1
	c.packet.Position = c.view.before(at) + number + 1
	if c.view.HeadersOnly {
		c.packet.Data = headers.Only(c.packet.Data, c.packet.On.LinkType)
	}
	return &c.packet, nil
}

// place returns how to read on from the last known place before a packet; see indexed.place.
func (p *part) place(number int64) (pcapfile.Layout, pcapfile.Mark, int64) {
	p.indexed.mu.Lock()
	same := p.indexed.version == p.version
	p.indexed.mu.Unlock()
	if !same {
		return pcapfile.Layout{}, pcapfile.Mark{}, -1
	}
	return p.indexed.place(number)
}

// before returns how many packets of the capture are in files before one.
func (v *View) before(at int) int64 {
	n := v.removed
	for _, p := range v.parts[:at] {
		n += p.packets
	}
	return n
}

// locate returns the file of a position, and the number there; false if there is no such packet.
func (v *View) locate(position int64) (at int, number int64, ok bool) {
	number = position - 1 - v.removed
	for at, p := range v.parts {
		if number >= 0 && number < p.packets {
			return at, number, true
		}
		number -= p.packets
	}
	return 0, 0, false
}

// Packet returns the packet at a position, or nil if there is none.
func (v *View) Packet(position int64) (*Packet, error) {
	at, number, ok := v.locate(position)
	if !ok {
		return nil, nil
	}
	c := v.cursor()
	defer c.close()
	return c.read(at, number)
}

// Page hands on at most count packets, from the one that is number first, from 1, among those that
// the filter of Wait selects. A packet is valid until hand returns.
func (v *View) Page(ctx context.Context, first int64, count int, hand func(*Packet) error) error {
	c := v.cursor()
	defer c.close()
	skip := max(first-1, 0)
	for at, p := range v.parts {
		if skip >= p.selected {
			skip -= p.selected
			continue
		}
		for skip < p.selected && count > 0 {
			numbers := p.list(v.filter, skip, min(count, pageStep))
			if len(numbers) == 0 {
				return ErrChanged
			}
			for _, number := range numbers {
				if err := ctx.Err(); err != nil {
					return err
				}
				packet, err := c.read(at, number)
				if err != nil {
					return err
				}
				if err := hand(packet); err != nil {
					return err
				}
			}
			skip += int64(len(numbers))
			count -= len(numbers)
		}
		skip = 0
		if count <= 0 {
			break
		}
	}
	return nil
}

// pageStep is how many numbers are looked up at a time.
const pageStep = 4096

// list returns the numbers of selected packets, from the one that is number first among them.
func (p *part) list(filter *Filter, first int64, count int) (numbers []int64) {
	count = int(min(int64(count), p.selected-first))
	if filter == nil {
		for n := range int64(count) {
			numbers = append(numbers, first+n)
		}
		return numbers
	}
	p.indexed.mu.Lock()
	defer p.indexed.mu.Unlock()
	s := p.indexed.filters[filter.Key]
	if s == nil || p.indexed.version != p.version {
		return nil
	}
	return s.list(first, count)
}

// Rank returns the number, from 1, that a position has among the selected packets. If that packet
// is not selected, it is that of the next one that is.
func (v *View) Rank(position int64) int64 {
	rank := int64(0)
	number := position - 1 - v.removed
	for _, p := range v.parts {
		if number >= p.packets {
			number -= p.packets
			rank += p.selected
			continue
		}
		if number > 0 && v.filter == nil {
			rank += number
		} else if number > 0 {
			p.indexed.mu.Lock()
			if s := p.indexed.filters[v.filter.Key]; s != nil {
				rank += min(s.rank(number), p.selected)
			}
			p.indexed.mu.Unlock()
		}
		break
	}
	return rank + 1
}

// At returns the position of the first packet that is not before a time, or 0 if there is none.
func (v *View) At(ctx context.Context, when time.Time) (int64, error) {
	c := v.cursor()
	defer c.close()
	for at, p := range v.parts {
		if p.packets == 0 || p.to < when.UnixNano() {
			continue
		}
		number := p.near(when.UnixNano())
		for ; number < p.packets; number++ {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			packet, err := c.read(at, number)
			if err != nil {
				return 0, err
			}
			if packet.Time >= when.UnixNano() {
				return packet.Position, nil
			}
		}
	}
	return 0, nil
}

// near returns the number of a packet that is at most a stride before the first one that is not
// before a time.
func (p *part) near(when int64) int64 {
	p.indexed.mu.Lock()
	defer p.indexed.mu.Unlock()
	places := &p.indexed.places
	n := sort.Search(len(places.entries), func(n int) bool { return places.entries[n].until >= when })
	return int64(max(n-1, 0)) * places.stride
}
