package afpacket

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"diagsh/capture"
	"diagsh/capture/process"

	"golang.org/x/sys/unix"
)

// ring is the socket of one interface, and the reader's position in its blocks.
//
// The kernel fills the blocks in turn and marks each as ours; we read them in turn and mark them as
// the kernel's. A mark is a 32-bit word in shared memory that both sides order their other accesses
// by, hence it is read and written atomically.
type ring struct {
	tap      capture.Tap
	position uint32 // of the tap among those of the capture
	group    uint16 // of the rings that share its packets; 0: none
	fd       int

	parked      bool             // it was made for an earlier capture
	promiscuous bool             // it made its interface promiscuous
	program     *process.Program // its filter if it is not a classic one

	memory    []byte
	blockSize int
	blocks    int

	current int           // the block that is read, or will be next
	open    bool          // the current block is ours and was begun
	seen    time.Duration // since when it is known to be ours, by the source's clock
	left    uint32        // packets of the current block not yet taken
	next    int           // where in memory the first of them is
	spent   int           // blocks before the current one that are still ours

	noted []time.Duration // since when blocks are known to be ours
	ahead int             // how many are, from the current one on

	taken     uint64
	label     uint32 // position that packets get
	renamedAt uint64 // how many packets are taken when that becomes position; notRenamed else
	gone      bool
	drainBy   time.Duration // when to stop waiting for the last packets, once gone or finished

	// Guarded by Source.mutex, as are the calls that change them.
	counters capture.Counters // since the ring has its position
	received uint64           // since the ring was made
}

const notRenamed = math.MaxUint64

const (
	// retire is the period of the timer by which the kernel hands over blocks that are not full, in
	// milliseconds.
	retire = 40

	// tagLength is the length of a VLAN tag: the room that the kernel leaves before
	// each packet so that a tag can be put back.
	tagLength = 4

	// headerLength is where in a packet's header its socket address begins.
	headerLength = (unix.SizeofTpacket3Hdr + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1)
)

// networkOrder returns the number whose bytes in memory are those of n in network order.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

func (r *ring) close() {
	if r.memory != nil {
		unix.Munmap(r.memory)
		r.memory = nil
	}
	if r.fd >= 0 {
		unix.Close(r.fd)
		r.fd = -1
	}
	if r.program != nil {
		r.program.Close()
		r.program = nil
	}
}

// block returns the header of a block. Its first part, before Hdr, is the same in all versions of
// rings.
func (r *ring) block(i int) *unix.TpacketHdrV1 {
	descriptor := (*unix.TpacketBlockDesc)(unsafe.Pointer(&r.memory[i*r.blockSize]))
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&descriptor.Hdr))
}

// ours reports whether the kernel has handed over a block.
func (r *ring) ours(i int) bool {
	return atomic.LoadUint32(&r.block(i).Block_status)&unix.TP_STATUS_USER != 0
}

// ready reports whether there is a packet to take, and opens its block if needed.
func (r *ring) ready(now time.Duration) bool {
	for r.left == 0 {
		r.leave()
		if r.spent == r.blocks || !r.ours(r.current) {
			return false
		}
		r.note(now)
		block := r.block(r.current)
		r.open, r.seen = true, r.noted[r.current]
		r.left = block.Num_pkts
		r.next = r.current*r.blockSize + int(block.Offset_to_first_pkt)
	}
	return true
}

// leave moves to the next block when all packets of the current one were taken.
func (r *ring) leave() {
	if r.open && r.left == 0 {
		r.open = false
		r.spent++
		r.ahead--
		r.current = (r.current + 1) % r.blocks
	}
}

// note records since when there are blocks after the current one. The current one may wait for
// those of other rings, and they wait with it.
func (r *ring) note(now time.Duration) {
	for r.spent+r.ahead < r.blocks {
		i := (r.current + r.ahead) % r.blocks
		if !r.ours(i) {
			return
		}
		r.noted[i] = now
		r.ahead++
	}
}

// pressed reports whether half of the ring waits to be read.
func (r *ring) pressed() bool {
	return r.ours((r.current + r.blocks/2) % r.blocks)
}

// header returns that of the next packet. There must be one.
func (r *ring) header() *unix.Tpacket3Hdr {
	return (*unix.Tpacket3Hdr)(unsafe.Pointer(&r.memory[r.next]))
}

// time returns that of the next packet. There must be one.
func (r *ring) time() int64 {
	h := r.header()
	return int64(h.Sec)*1e9 + int64(h.Nsec)
}

// take describes the next packet, which must be there, and moves on to the one after it.
func (r *ring) take(p *capture.Packet) {
	h := r.header()
	start := r.next + int(h.Mac)
	end := start + int(h.Snaplen)
	p.Length, p.Tagged = h.Len, false
	if h.Status&unix.TP_STATUS_VLAN_VALID != 0 && r.tap.Interface.LinkType == capture.Ethernet &&
		h.Snaplen >= 2*addressLength {
		start -= tagLength
		restoreTag(r.memory[start:], h)
		end = min(end, start+r.tap.SnapLength)
		p.Length, p.Tagged = p.Length+tagLength, true
	}
	p.Time = int64(h.Sec)*1e9 + int64(h.Nsec)
	p.Data = r.memory[start:end:end]
	if r.taken == r.renamedAt {
		r.label = r.position
	}
	p.Interface = r.label
	p.Direction = directions[r.memory[r.next+headerLength+packetTypeOffset]&7]

	r.taken++
	r.left--
	// Packets have just come from another core's cache, and each would stall the reader. So it
	// requests the probable header of a later packet, and its data, now. If they are elsewhere,
	// that place is read soon anyway.
	const ahead = 24
	offset := int(h.Next_offset)
	if later := r.next + ahead*offset; uint(later) < uint(len(r.memory)) {
		prefetch(&r.memory[later])
	}
	r.next += offset
}

const (
	addressLength    = 6 // of Ethernet
	packetTypeOffset = int(unsafe.Offsetof(unix.RawSockaddrLinklayer{}.Pkttype))
)

// restoreTag inserts a VLAN tag after the two addresses of an Ethernet header. It moves the
// addresses to the start of b, four bytes to the front.
func restoreTag(b []byte, h *unix.Tpacket3Hdr) {
	copy(b[:2*addressLength], b[tagLength:])
	protocol := uint16(unix.ETH_P_8021Q)
	if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		protocol = h.Hv1.Vlan_tpid
	}
	binary.BigEndian.PutUint16(b[12:], protocol)
	binary.BigEndian.PutUint16(b[14:], uint16(h.Hv1.Vlan_tci))
}

// directions is indexed by the kernel's packet types; those above PACKET_OUTGOING never reach a
// socket.
var directions = [8]capture.Direction{
	unix.PACKET_HOST:      capture.Incoming,
	unix.PACKET_BROADCAST: capture.IncomingBroadcast,
	unix.PACKET_MULTICAST: capture.IncomingMulticast,
	unix.PACKET_OTHERHOST: capture.IncomingOther,
	unix.PACKET_OUTGOING:  capture.Outgoing,
}

// release gives back the blocks whose packets were all taken. While the kernel's last block is
// ours, a wait for the next one ends at once.
func (r *ring) release() {
	r.leave()
	for ; r.spent > 0; r.spent-- {
		i := (r.current - r.spent + r.blocks) % r.blocks
		atomic.StoreUint32(&r.block(i).Block_status, unix.TP_STATUS_KERNEL)
	}
}

// count adds what the kernel counted since the last call: reading resets its counters.
func (r *ring) count() {
	if r.fd < 0 {
		return
	}
	statistics, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return
	}
	// The kernel's number of packets includes the dropped ones.
	r.counters.Dropped += uint64(statistics.Drops)
	r.counters.Received += uint64(statistics.Packets - statistics.Drops)
	r.received += uint64(statistics.Packets - statistics.Drops)
}

// rename gives the ring another position, for the packets that the kernel has not counted yet. It
// adds the counters of the old position to past and returns the sum.
func (r *ring) rename(tap capture.Tap, position int, past capture.Counters) capture.Counters {
	r.count()
	past.Received += r.counters.Received
	past.Dropped += r.counters.Dropped
	r.tap, r.position, r.counters = tap, uint32(position), capture.Counters{}
	if r.renamedAt = r.received; r.taken == r.received {
		r.label = r.position
	}
	return past
}

// detach moves socket and memory to the ring that it returns.
func (r *ring) detach() *ring {
	other := *r
	r.fd, r.memory = -1, nil
	return &other
}

// removed reports whether the interface is gone, in which case the kernel has reset the socket's
// index. It also clears the error that the kernel sets when an interface goes down, gone or not.
// That error would end every wait at once.
func (r *ring) removed() bool {
	unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	address, err := unix.Getsockname(r.fd)
	if err != nil {
		return false
	}
	link, ok := address.(*unix.SockaddrLinklayer)
	return ok && link.Ifindex < 0
}
