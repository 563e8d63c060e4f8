package pcapfile

import (
	"encoding/binary"
	"sort"

	"diagsh/capture"
)

// Process information blocks, as tcpdump of macOS writes them. Packets refer to one by its place among
// those of their section, from 0. Readers that do not know them skip them: as blocks for local use
// they are no packets, and no packet gets another number.
const (
	blockProcess = 0x80000001
	processName  = 2

	packetProcessBlock = 0x8001 // whose the packet is
	packetActsFor      = 0x8003 // whom that process acts for

	noBlock = 1<<32 - 1 // refers to none
)

// A Process is one as a process information block has it.
type Process struct {
	PID  int // 0: none
	Name string
}

// mostProcesses is how many processes are remembered of a file. A writer forgets all of them then and
// writes blocks anew; a reader does not know those that come later.
const mostProcesses = 1 << 16

// processBlocks are those of one section of a file that is written, perhaps as the copy of another
// one that has such blocks itself.
type processBlocks struct {
	written uint32             // of both kinds
	added   map[Process]uint32 // the places of those that are not the other file's

	others uint32  // blocks of the other file
	moved  []moved // where they are now
}

// A moved says that the blocks of another file from one on, in its own count, are so many places
// later in the copy.
type moved struct{ from, by uint32 }

// other notes that the next block is one of the other file.
func (s *processBlocks) other() {
	by := s.written - s.others
	if n := len(s.moved); by > 0 && (n == 0 || s.moved[n-1].by != by) {
		s.moved = append(s.moved, moved{s.others, by})
	}
	s.others++
	s.written++
}

// place returns where a block of the other file is in the copy. A block that did not come yet is in no
// place, if others are in the copy: another process must not be taken for it.
func (s *processBlocks) place(other uint32) uint32 {
	if other >= s.others && s.written > s.others {
		return noBlock
	}
	i := sort.Search(len(s.moved), func(i int) bool { return s.moved[i].from > other }) - 1
	if i < 0 {
		return other
	}
	return other + s.moved[i].by
}

// refer returns the place of the block of a process. If there is none yet, it appends one to b.
func (s *processBlocks) refer(o binary.ByteOrder, b []byte, p Process) (_ []byte, place uint32) {
	p.Name = p.Name[:min(len(p.Name), maxNameLength)]
	if place, known := s.added[p]; known {
		return b, place
	}
	if s.added == nil || len(s.added) == mostProcesses {
		s.added = make(map[Process]uint32)
	}
	place = s.written
	s.added[p] = place
	s.written++
	start := len(b)
	b = appendUint32s(o, b, blockProcess, 0, uint32(p.PID))
	if p.Name != "" {
		b = appendUint16s(o, b, processName, uint16(len(p.Name)))
		b = append(b, p.Name...)
		b = append(b, "\x00\x00\x00"[:padding(len(p.Name))]...)
	}
	b = appendUint16s(o, b, optionEnd, 0)
	length := uint32(len(b) - start + 4)
	o.PutUint32(b[start+4:], length)
	return appendUint32s(o, b, length), place
}

// correct changes the options of a packet that is copied so that they refer to the same processes as
// before. It reports whether one says whose the packet is.
func (s *processBlocks) correct(o binary.ByteOrder, options []byte) (owned bool) {
	eachOption(o, options, func(code uint16, value []byte) {
		if (code == packetProcessBlock || code == packetActsFor) && len(value) == 4 {
			o.PutUint32(value, s.place(o.Uint32(value)))
			owned = owned || code == packetProcessBlock
		}
	})
	return owned
}

// decodeProcess keeps what a process information block has. One that is something else, as a block
// for local use may be, has nothing.
func (r *Reader) decodeProcess(block []byte, _ *capture.Packet) error {
	if r.processes == nil || len(*r.processes) == mostProcesses {
		return nil
	}
	var p Process
	if len(block) >= 12 {
		p.PID = int(int32(r.order.Uint32(block[8:])))
		eachOption(r.order, block[12:], func(code uint16, value []byte) {
			if code == processName {
				p.Name = string(value[:min(len(value), maxNameLength)])
			}
		})
	}
	*r.processes = append(*r.processes, p)
	return nil
}

func appendUint32s(o binary.ByteOrder, b []byte, numbers ...uint32) []byte {
	for _, n := range numbers {
		b = append(b, 0, 0, 0, 0)
		o.PutUint32(b[len(b)-4:], n)
	}
	return b
}
