package index

import (
	"math/bits"
	"sort"
)

// A bitmap says for each packet of a file whether it is selected. It grows at its end. Parts in
// which all packets are alike take no memory for them.
type bitmap struct {
	chunks   []chunk
	packets  int64 // that it knows
	selected int64
}

// A chunk is chunkPackets packets.
type chunk struct {
	words  *[chunkPackets / 64]uint64 // nil if all packets are alike
	before int64                      // selected packets in the chunks before
	all    bool                       // what they are, if words is nil
}

const (
	chunkPackets = 1 << 16
	chunkBytes   = chunkPackets / 8
	chunkStruct  = 24
)

// add appends packets.
func (b *bitmap) add(selected []bool) {
	for _, is := range selected {
		at := int(b.packets % chunkPackets)
		if at == 0 {
			b.chunks = append(b.chunks, chunk{words: new([chunkPackets / 64]uint64), before: b.selected})
		}
		c := &b.chunks[len(b.chunks)-1]
		b.packets++
		if is {
			c.words[at/64] |= 1 << (at % 64)
			b.selected++
		}
		if at == chunkPackets-1 {
			switch b.selected - c.before {
			case 0:
				c.words = nil
			case chunkPackets:
				c.words, c.all = nil, true
			}
		}
	}
}

// list returns the numbers of at most count selected packets, from the one that is number first
// among them. All numbers count from 0.
func (b *bitmap) list(first int64, count int) (numbers []int64) {
	if first >= b.selected || count <= 0 {
		return nil
	}
	// the last chunk with no more than first before it
	from := sort.Search(len(b.chunks), func(n int) bool { return b.chunks[n].before > first }) - 1
	skip := first - b.chunks[from].before
	for n := from; n < len(b.chunks); n++ {
		numbers, skip = b.chunks[n].list(numbers, int64(n)*chunkPackets, skip, count)
		if len(numbers) == count {
			break
		}
	}
	return numbers
}

// list appends the numbers of the chunk's selected packets, without the first ones of them, until
// there are count. base is the number of its first packet. It returns how many are still to be
// left out.
func (c *chunk) list(numbers []int64, base, skip int64, count int) ([]int64, int64) {
	if c.words == nil {
		if !c.all {
			return numbers, skip
		}
		for at := skip; at < chunkPackets && len(numbers) < count; at++ {
			numbers = append(numbers, base+at)
		}
		return numbers, 0
	}
	for n, word := range c.words {
		if here := int64(bits.OnesCount64(word)); skip >= here {
			skip -= here
			continue
		}
		for ; word != 0; word &= word - 1 {
			if skip > 0 {
				skip--
				continue
			}
			if len(numbers) == count {
				return numbers, 0
			}
			numbers = append(numbers, base+int64(n*64+bits.TrailingZeros64(word)))
		}
	}
	return numbers, skip
}

// rank returns how many packets before a number are selected.
func (b *bitmap) rank(number int64) int64 {
	if number >= b.packets {
		return b.selected
	}
	c := &b.chunks[number/chunkPackets]
	at := int(number % chunkPackets)
	if c.words == nil {
		if c.all {
			return c.before + int64(at)
		}
		return c.before
	}
	sum := c.before
	for _, word := range c.words[:at/64] {
		sum += int64(bits.OnesCount64(word))
	}
	return sum + int64(bits.OnesCount64(c.words[at/64]&(1<<(at%64)-1)))
}

// size returns how many bytes of memory the bitmap takes.
func (b *bitmap) size() int64 {
	size := int64(cap(b.chunks)) * chunkStruct
	for i := range b.chunks {
		if b.chunks[i].words != nil {
			size += chunkBytes
		}
	}
	return size
}
