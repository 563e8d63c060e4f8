package headers

// fragments has incomplete datagrams, at most maxDatagrams; the oldest makes room for a new one. It
// keeps the beginning of each, where the headers are.
type fragments struct {
	index map[fragmentKey]*datagram
	order []fragmentKey // a ring, the oldest at turn
	turn  int
}

const (
	maxDatagrams = 1024
	maxBeginning = 384 // bytes: headers in tunnels, and the question of a DNS message
	maxPieces    = 48
)

type fragmentKey struct {
	Network
	id       uint32
	protocol uint8
}

// datagram is what is known of an incomplete datagram.
type datagram struct {
	beginning [maxBeginning]byte
	total     int // 0: the last piece has not come
	pieces    [maxPieces]piece
	count     int
}

// piece is the bytes from begin to before end. Those of a datagram are sorted and do not touch.
type piece struct{ begin, end int }

// add adds a piece to its datagram. It returns the kept part of the datagram once that is whole.
func (f *fragments) add(key fragmentKey, b []byte, offset int, more bool) (whole view, ok bool) {
	d := f.index[key]
	if d == nil {
		d = f.begin(key)
	}
	if offset < maxBeginning {
		copy(d.beginning[offset:], b)
	}
	if !more {
		d.total = offset + len(b)
	}
	if !d.cover(piece{offset, offset + len(b)}) {
		delete(f.index, key) // no sender makes so many pieces
		return view{}, false
	}
	if d.total == 0 || d.count != 1 || d.pieces[0].begin != 0 || d.pieces[0].end < d.total {
		return view{}, false
	}
	delete(f.index, key)
	return view{d.beginning[:min(maxBeginning, d.total)], d.total}, true
}

func (f *fragments) begin(key fragmentKey) *datagram {
	if f.index == nil {
		f.index = make(map[fragmentKey]*datagram)
	}
	d := new(datagram)
	if len(f.order) < maxDatagrams {
		f.order = append(f.order, key)
	} else {
		delete(f.index, f.order[f.turn])
		f.order[f.turn] = key
		f.turn = (f.turn + 1) % maxDatagrams
	}
	f.index[key] = d
	return d
}

// cover records that a piece is there. It reports false if there are too many gaps.
func (d *datagram) cover(p piece) bool {
	at := 0
	for at < d.count && d.pieces[at].end < p.begin {
		at++
	}
	last := at // after those that touch p
	for last < d.count && d.pieces[last].begin <= p.end {
		p.begin, p.end = min(p.begin, d.pieces[last].begin), max(p.end, d.pieces[last].end)
		last++
	}
	if last == at && d.count == maxPieces {
		return false
	}
	if last == at {
		copy(d.pieces[at+1:d.count+1], d.pieces[at:d.count])
		d.count++
	} else {
		copy(d.pieces[at+1:], d.pieces[last:d.count])
		d.count -= last - at - 1
	}
	d.pieces[at] = p
	return true
}
