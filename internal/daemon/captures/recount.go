package captures

import (
	"errors"
	"io"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
)

// recount counts again, after a death, what each of the filters in fields matches in a file. It leaves
// that unknown where the file has too little of each packet to tell. What was counted before is lost:
// the table may be older than the file.
func (t *Table) recount(r *entry, info *capture.FileInfo) {
	spec := r.Spec
	if len(spec.Filters) == 0 || spec.SnapLength > 0 && spec.SnapLength < spec.LooksAt() {
		return
	}
	for _, known := range r.Status.Files {
		if known.Name == info.Name {
			info.UncountedPackets = known.UncountedPackets
		}
	}
	counts, err := t.countIn(spec, info.Name, info.UncountedPackets)
	if err != nil {
		t.log.Error("what the filters of an interrupted capture matched cannot be counted", "file", info.Name, "error", err)
		return
	}
	info.FilterPackets = counts
}

// countIn counts the packets of a file after some.
func (t *Table) countIn(spec capture.Spec, name string, after int64) (capture.Counts, error) {
	f, err := t.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	packets, err := pcapfile.NewReader(f)
	if err != nil {
		return nil, err
	}
	tally, counts := capture.NewTally(spec.Filters), make(capture.Counts, len(spec.Filters))
	var p capture.Packet
	for n := int64(0); ; n++ {
		if err := packets.Next(&p); errors.Is(err, io.EOF) {
			return counts, nil
		} else if err != nil {
			return nil, err
		}
		if n < after {
			continue
		}
		link := packets.Interface(p.Interface).LinkType
		p.Tagged = link == capture.Ethernet && taggedBeside(p.Data)
		counts.Add(tally.Match(&p, link))
	}
}

// taggedBeside reports whether a packet begins with a tag that the kernel keeps beside it: it does so
// with the outer one of 802.1Q and 802.1ad.
func taggedBeside(data []byte) bool {
	return len(data) >= 16 && (data[12] == 0x81 && data[13] == 0 || data[12] == 0x88 && data[13] == 0xa8)
}
