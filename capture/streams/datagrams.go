package streams

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/capture/headers"
)

// datagrams are those of which not all fragments have come. There are at most maxDatagrams; the
// oldest makes room for a new one.
type datagrams struct{ list []*datagram }

const (
	maxDatagrams = 32
	maxDatagram  = 1<<16 - 1

	// patience is after how many further packets of the stream a datagram is given up.
	patience = 512
)

// A datagram is the fragments of one.
type datagram struct {
	network  headers.Network
	protocol uint8
	id       uint32

	header   []byte // of IP, without what fragments have
	data     []byte
	pieces   [][2]int // from, to; sorted, and none touches another
	total    int      // 0: the last fragment has not come
	position int64    // of the first fragment that came
	seen     int64    // which packet of the stream that was
}

// A fragment is what a header of IP says about one.
type fragment struct {
	network  headers.Network
	protocol uint8
	id       uint32
	header   []byte
	data     []byte
	offset   int
	more     bool
}

// read reads a whole packet of IP. It reports false if that is no fragment, or not all there.
func (f *fragment) read(h *headers.Headers) bool {
	network, ok := h.Network()
	b := h.IP
	if !ok || len(b) < h.IPLength {
		return false
	}
	f.network = network
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&15) * 4
		word := binary.BigEndian.Uint16(b[6:])
		if word&0x3fff == 0 || head < 20 || head > len(b) {
			return false
		}
		f.header = slices.Clone(b[:head])
		f.header[6], f.header[7] = 0, 0
		f.id, f.protocol = uint32(binary.BigEndian.Uint16(b[4:])), b[9]
		f.offset, f.more, f.data = int(word&0x1fff)*8, word&0x2000 != 0, b[head:]
		return true
	case len(b) >= 40 && b[0]>>4 == 6:
		return f.read6(b)
	}
	return false
}

// read6 looks for the fragment header of a packet of IPv6.
func (f *fragment) read6(b []byte) bool {
	f.header = slices.Clone(b[:40])
	for next, at := b[6], 40; at+8 <= len(b); {
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			next, at = b[at], at+8+int(b[at+1])*8
		case unix.IPPROTO_FRAGMENT:
			word := binary.BigEndian.Uint16(b[at+2:])
			f.header[6], f.protocol = b[at], b[at]
			f.offset, f.more, f.id, f.data = int(word&^7), word&1 != 0, binary.BigEndian.Uint32(b[at+4:]), b[at+8:]
			return true
		default:
			return false
		}
	}
	return false
}

// add adds a fragment. It returns the packet of IP once that is whole; first is the position of its
// earliest fragment.
func (d *datagrams) add(f *fragment, position, seen int64) (whole []byte) {
	d.list = slices.DeleteFunc(d.list, func(one *datagram) bool { return seen-one.seen > patience })
	i := slices.IndexFunc(d.list, func(one *datagram) bool {
		return one.network == f.network && one.protocol == f.protocol && one.id == f.id
	})
	if i < 0 {
		if len(d.list) == maxDatagrams {
			d.list = slices.Delete(d.list, 0, 1)
		}
		d.list = append(d.list, &datagram{network: f.network, protocol: f.protocol, id: f.id, position: position, seen: seen})
		i = len(d.list) - 1
	}
	one := d.list[i]
	end := f.offset + len(f.data)
	if end > maxDatagram {
		d.list = slices.Delete(d.list, i, i+1)
		return nil
	}
	if end > len(one.data) {
		one.data = append(one.data, make([]byte, end-len(one.data))...)
	}
	copy(one.data[f.offset:], f.data)
	if f.offset == 0 {
		one.header = f.header
	}
	if !f.more {
		one.total = end
	}
	one.cover(f.offset, end)
	if one.total == 0 || one.header == nil || len(one.pieces) != 1 || one.pieces[0][0] != 0 || one.pieces[0][1] < one.total {
		return nil
	}
	d.list = slices.Delete(d.list, i, i+1)
	return one.packet()
}

// cover notes that bytes are there.
func (d *datagram) cover(from, to int) {
	kept := d.pieces[:0:0]
	for _, p := range d.pieces {
		if p[1] < from || p[0] > to {
			kept = append(kept, p)
			continue
		}
		from, to = min(from, p[0]), max(to, p[1])
	}
	kept = append(kept, [2]int{from, to})
	slices.SortFunc(kept, func(a, b [2]int) int { return a[0] - b[0] })
	d.pieces = kept
}

// packet returns the datagram as one packet.
func (d *datagram) packet() []byte {
	b := append(d.header, d.data[:d.total]...)
	if b[0]>>4 == 4 {
		if len(b) > maxDatagram {
			return nil
		}
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	binary.BigEndian.PutUint16(b[4:], uint16(min(len(b)-40, maxDatagram)))
	return b
}

// oldest returns the position of the earliest fragment that is still of use, or position if there
// is none.
func (d *datagrams) oldest(position int64) int64 {
	for _, one := range d.list {
		position = min(position, one.position)
	}
	return position
}
