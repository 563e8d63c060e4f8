// Package pcapfile writes and reads capture files: classic pcap with timestamps in nanoseconds, and
// pcapng.
//
// A Writer is fast enough for the busiest ring: packets are encoded straight into large buffers
// that a goroutine writes past the page cache. If the process is killed, its file is a valid
// capture up to the last flush, perhaps followed by a torn record, which Repair cuts off.
package pcapfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"diagsh/capture"
)

// Writer writes one capture file. It is a capture.File.
type Writer struct {
	disk   *disk
	own    *Files // not shared with other files
	header capture.FileHeader
	name   string

	max     int64 // for packets: without the blocks at the end
	unit    int64 // of timestamps, in nanoseconds
	packets int64
	first   int64
	last    int64
	counts  []uint64 // of packets of this section, by interface

	record [packetFixedSize + 8]byte // a record's header that crosses the end of a buffer
}

func (f *Files) create(dir *os.Root, name string, h capture.FileHeader, before capture.FileInfo) (capture.File, error) {
	begin, end, err := beginning(h)
	if err != nil {
		return nil, err
	}
	if before.Bytes > 0 {
		if err := fits(dir, name, h); err != nil {
			return nil, err
		}
		if h.Format == capture.PCAP {
			begin = nil
		}
	}
	size, max := int64(1<<63-1), int64(1<<63-1)
	if h.MaxBytes != capture.Unlimited {
		size, max = h.MaxBytes, h.MaxBytes-int64(end)
		// A file that has no room for a packet is not created.
		if least := before.Bytes + int64(len(begin)+recordSize(h.Format, 1)); max < least {
			return nil, &capture.SpecError{
				Member: "sizeBytes",
				Text: fmt.Sprintf("%d bytes are too few for the capture file; it needs at least %d", h.MaxBytes,
					least+int64(end)),
			}
		}
	}

	d, err := openDisk(f, dir, name, before.Bytes, size)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, &capture.FileExistsError{Name: name}
	case err != nil:
		return nil, fmt.Errorf("the capture file cannot be created: %w", cause(err))
	}
	w := &Writer{disk: d, header: h, name: name, max: max, unit: 1, packets: before.Packets,
		counts: make([]uint64, len(h.Interfaces))}
	if h.Precision == capture.Microsecond {
		w.unit = 1000
	}
	if before.Packets > 0 {
		w.first, w.last = before.First.UnixNano(), before.Last.UnixNano()
	}
	d.append(begin)
	d.flush()
	return w, nil
}

// beginning returns the beginning of a file, and how many bytes are reserved for its end.
func beginning(h capture.FileHeader) (begin []byte, end int, err error) {
	switch h.Format {
	case capture.PCAP:
		for _, i := range h.Interfaces[1:] {
			if i.LinkType != h.Interfaces[0].LinkType {
				return nil, 0, capture.ErrMixedLinkTypes
			}
		}
		return appendPcapHeader(nil, h), 0, nil
	case capture.PCAPNG:
		return appendSection(nil, h), len(h.Interfaces) * statisticsSize, nil
	}
	return nil, 0, fmt.Errorf("%q is not a format of capture files", h.Format)
}

// fits reports why packets with this header cannot follow those of a file.
func fits(dir *os.Root, name string, h capture.FileHeader) error {
	file, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("the capture file cannot be opened: %w", cause(err))
	}
	defer file.Close()
	r, err := NewReader(file)
	if err != nil {
		return &capture.SpecError{Member: "mode", Text: "the file to append to is not a whole capture file"}
	}
	if r.format != h.Format {
		return &capture.SpecError{Member: "format",
			Text: fmt.Sprintf("the file to append to is of the format %s", r.format)}
	}
	if h.Format == capture.PCAPNG {
		return nil
	}
	first := r.interfaces[0]
	switch {
	case first.LinkType != h.Interfaces[0].LinkType:
		return capture.ErrMixedLinkTypes
	case r.nano != (h.Precision != capture.Microsecond):
		return &capture.SpecError{Member: "timePrecision",
			Text: "the file to append to has time stamps of another precision"}
	case int64(first.snapLength) < int64(h.SnapLength):
		return &capture.SpecError{Member: "snapLength",
			Text: fmt.Sprintf("the file to append to has packets of at most %d bytes", first.snapLength)}
	}
	return nil
}

// cause removes the path, which is the server's own, from an error of the file system.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Write implements capture.File.
func (w *Writer) Write(batch []capture.Packet) (int, error) {
	if err := w.disk.failed(); err != nil {
		return 0, cause(err)
	}
	for i := range batch {
		p := &batch[i]
		size := recordSize(w.header.Format, len(p.Data))
		if w.disk.size()+int64(size) > w.max {
			return i, capture.ErrSizeLimit
		}
		w.encode(p, size)
		if w.packets == 0 || p.Time < w.first {
			w.first = p.Time
		}
		if w.packets == 0 || p.Time > w.last {
			w.last = p.Time
		}
		w.packets++
		w.counts[p.Interface]++
	}
	return len(batch), nil
}

// recordSize returns the size of the record of a packet with that many bytes.
func recordSize(format capture.Format, bytes int) int {
	if format == capture.PCAP {
		return pcapRecordSize + bytes
	}
	return blockFrameSize + packetFixedSize + bytes + padding(bytes) + packetTailSize
}

// encode writes a packet's record. One in thousands crosses the end of a buffer, and is written in
// pieces.
func (w *Writer) encode(p *capture.Packet, size int) {
	if room := w.disk.room(); size <= len(room) {
		head := w.putHead(room, p, size)
		n := head + copy(room[head:size], p.Data)
		w.putTail(room[n:size], p, size)
		w.disk.used(size)
		return
	}
	head := w.putHead(w.record[:], p, size)
	w.disk.append(w.record[:head])
	w.disk.append(p.Data)
	tail := w.record[:size-head-len(p.Data)]
	w.putTail(tail, p, size)
	w.disk.append(tail)
}

// putHead writes what precedes a packet's data and returns its length.
func (w *Writer) putHead(b []byte, p *capture.Packet, size int) int {
	if w.header.Format == capture.PCAP {
		b = b[:pcapRecordSize]
		seconds, fraction := p.Time/1e9, p.Time%1e9
		if w.unit != 1 {
			fraction /= w.unit
		}
		order.PutUint32(b, uint32(seconds))
		order.PutUint32(b[4:], uint32(fraction))
		order.PutUint32(b[8:], uint32(len(p.Data)))
		order.PutUint32(b[12:], p.Length)
		return len(b)
	}
	b = b[:8+packetFixedSize]
	order.PutUint32(b, blockPacket)
	order.PutUint32(b[4:], uint32(size))
	order.PutUint32(b[8:], p.Interface)
	stamp := p.Time
	if w.unit != 1 {
		stamp /= w.unit
	}
	order.PutUint32(b[12:], uint32(stamp>>32))
	order.PutUint32(b[16:], uint32(stamp))
	order.PutUint32(b[20:], uint32(len(p.Data)))
	order.PutUint32(b[24:], p.Length)
	return len(b)
}

// putTail writes what follows a packet's data, all of b.
func (w *Writer) putTail(b []byte, p *capture.Packet, size int) {
	if w.header.Format == capture.PCAP {
		return
	}
	n := padding(len(p.Data))
	clear(b[:n])
	b = b[n:]
	order.PutUint16(b, packetFlags)
	order.PutUint16(b[2:], 4)
	order.PutUint32(b[4:], flags(p.Direction))
	order.PutUint32(b[8:], optionEnd)
	order.PutUint32(b[12:], uint32(size))
}

// Info implements capture.File.
func (w *Writer) Info() capture.FileInfo {
	info := capture.FileInfo{Name: w.name, Bytes: w.disk.size(), Packets: w.packets}
	if w.packets > 0 {
		info.First = time.Unix(0, w.first).UTC()
		info.Last = time.Unix(0, w.last).UTC()
	}
	return info
}

// Ending implements capture.File.
func (w *Writer) Ending() int64 {
	if w.header.Format == capture.PCAP {
		return 0
	}
	return int64(len(w.counts)) * statisticsSize
}

// AddInterface implements capture.File.
func (w *Writer) AddInterface(i capture.Interface) error {
	if w.header.Format == capture.PCAP {
		if i.LinkType != w.header.Interfaces[0].LinkType {
			return capture.ErrMixedLinkTypes
		}
	} else {
		block := appendInterface(nil, w.header, i)
		if w.disk.size()+int64(len(block)) > w.max-statisticsSize {
			return capture.ErrSizeLimit
		}
		w.max -= statisticsSize
		w.disk.append(block)
	}
	w.counts = append(w.counts, 0)
	return nil
}

// Flush implements capture.File.
func (w *Writer) Flush() (pending bool, err error) {
	pending = w.disk.flush()
	if err := w.disk.failed(); err != nil {
		return false, cause(err)
	}
	return pending, nil
}

// Free implements capture.File.
func (w *Writer) Free(ahead int64) (int64, error) { return w.disk.free(ahead) }

// End implements capture.Ender.
func (w *Writer) End(counters []capture.Counters) {
	if w.header.Format == capture.PCAPNG {
		var end []byte
		now := time.Now()
		for id, c := range counters {
			if id < len(w.counts) {
				end = appendStatistics(end, id, c, w.counts[id], w.header.Start, now, w.unit)
			}
		}
		w.disk.append(end)
	}
	w.disk.end()
}

// Close implements capture.File.
func (w *Writer) Close(counters []capture.Counters) (capture.FileInfo, error) {
	if w.own != nil {
		defer w.own.Close()
	}
	if !w.disk.ended() {
		w.End(counters)
	}
	err := w.disk.finish()
	info := w.Info()
	if err != nil {
		// The last records on the disk are torn, and may be fewer than were counted: the file
		// itself says what is in it.
		kept, repairErr := repair(w.disk.file)
		if repairErr == nil || errors.Is(repairErr, ErrNoCapture) {
			kept.Name = w.name
			info = kept
		}
	}
	if syncErr := w.disk.file.Sync(); err == nil {
		err = syncErr
	}
	if closeErr := w.disk.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		err = cause(err)
	}
	return info, err
}
