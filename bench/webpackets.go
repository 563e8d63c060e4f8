package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	packetRows       = 200
	packetPatience   = 150 * time.Millisecond // until the rows of a file that was read are there
	packetsMemory    = 60 << 20               // bytes that the appliance may need more
	packetsOfSummary = 2.0                    // the share of summary's time that the first look may take
)

// A packetAnswer is what the bench reads of a page of packets.
type packetAnswer struct {
	Total    int64 `json:"total"`
	Matched  int64 `json:"matched"`
	Complete bool  `json:"complete"`
	Rows     []struct {
		Position int64 `json:"position"`
	} `json:"rows"`
}

// look asks for rows of a file from the one with number first on, and returns how long it took until
// they were here.
func (v *visitor) look(ctx context.Context, name, filter string, first int) (time.Duration, error) {
	arguments := map[string]any{"name": name, "count": packetRows, "first": first}
	matched := int64(filePackets)
	if filter != "" {
		arguments["filter"], matched = filter, fileSelected
	}
	var page packetAnswer
	took, err := v.run(ctx, "packetcapture packets", arguments, &page)
	if err != nil {
		return 0, err
	}
	if !page.Complete || page.Total != filePackets || page.Matched != matched || len(page.Rows) != packetRows {
		return 0, fmt.Errorf("packetcapture packets has %d rows of %d of %d packets, complete %v", len(page.Rows),
			page.Matched, page.Total, page.Complete)
	}
	if filter == "" && page.Rows[0].Position != int64(first) {
		return 0, fmt.Errorf("packetcapture packets begins at %d instead of %d", page.Rows[0].Position, first)
	}
	return took, nil
}

// packets measures looks into a file of a million packets, in turns with summary and Wireshark's
// programs.
func (w *webBench) packets(ctx context.Context) ([]figure, error) {
	original := w.path("packets.pcap")
	if err := writePackets(original); err != nil {
		return nil, err
	}
	v, err := w.signIn(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	pages, err := w.packetPages(ctx, v, original)
	if err != nil {
		return nil, err
	}
	first, err := w.firstLooks(ctx, v, original)
	return append(first, pages...), err
}

// fresh makes a copy of a file in the diagnostic directory. Its last bytes are its own: the appliance
// knows a file by its content also, and would know one that got the inode of a deleted equal one.
func (w *webBench) fresh(original, name string) (path string, err error) {
	from, err := os.Open(original)
	if err != nil {
		return "", err
	}
	defer from.Close()
	path = filepath.Join(w.diagnostic, name)
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer to.Close()
	size, err := io.Copy(to, from)
	if err != nil {
		return "", err
	}
	w.copies++ // into the echoed timestamp of the last packet
	if _, err := to.WriteAt(binary.BigEndian.AppendUint32(nil, w.copies), size-4); err != nil {
		return "", err
	}
	return path, to.Sync()
}

// firstLooks measures the first look at a file, in which all of it is read.
func (w *webBench) firstLooks(ctx context.Context, v *visitor, original string) ([]figure, error) {
	var ours, summary, tshark, sharkd []time.Duration
	for n := range w.often(5) {
		name := fmt.Sprintf("mx1-first%d-20260101-000000.pcap", n)
		path, err := w.fresh(original, name)
		if err != nil {
			return nil, err
		}
		took := make([]time.Duration, 4)
		took[0], err = v.look(ctx, name, "", 1)
		if err == nil {
			took[1], err = v.sum(ctx, name)
		}
		if err == nil {
			took[2], err = timed(w.wireshark(ctx, "tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.number"))
		}
		if err == nil {
			took[3], err = w.sharkdLoad(ctx, path)
		}
		if err := errors.Join(err, os.Remove(path)); err != nil {
			return nil, err
		}
		ours, summary = append(ours, took[0]), append(summary, took[1])
		tshark, sharkd = append(tshark, took[2]), append(sharkd, took[3])
	}
	what := fmt.Sprintf("HTTPS: first look at a file of %d packets, 400 MB, until all is known | ", filePackets)
	share := float64(median(ours)) / float64(median(summary))
	return []figure{
		{what: what + "packetcapture summary", ours: spread(ours), peer: spread(summary),
			goal: fmt.Sprintf("at most %.2f of it; is %.2f", packetsOfSummary, share), met: share <= packetsOfSummary},
		{what: what + "tshark -T fields -e frame.number", ours: spread(ours), peer: spread(tshark)},
		{what: what + "sharkd, load and the first frames", ours: spread(ours), peer: spread(sharkd)},
	}, nil
}

// sum has a file summed up.
func (v *visitor) sum(ctx context.Context, name string) (time.Duration, error) {
	var answer struct {
		Packets int64 `json:"packets"`
	}
	took, err := v.run(ctx, "packetcapture summary", map[string]any{"name": name}, &answer)
	if err == nil && answer.Packets != filePackets {
		err = fmt.Errorf("packetcapture summary has %d packets", answer.Packets)
	}
	return took, err
}

// packetPages measures pages from anywhere in a file, without a filter and with one, and the memory
// that the appliance needs for it.
func (w *webBench) packetPages(ctx context.Context, v *visitor, original string) ([]figure, error) {
	const name = "mx1-pages-20260101-000000.pcap"
	path, err := w.fresh(original, name)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	peer, err := w.startSharkd(ctx, path)
	if err != nil {
		return nil, err
	}
	defer peer.stop()
	pids, err := w.processes()
	if err != nil {
		return nil, err
	}
	before, err := highWaters(pids, true)
	if err != nil {
		return nil, err
	}
	if _, err := v.look(ctx, name, "", 1); err != nil {
		return nil, err
	}
	plain, err := w.randomPages(ctx, v, peer, name, "", "", filePackets)
	if err != nil {
		return nil, err
	}
	firstOurs, err := v.look(ctx, name, fileFilter, 1)
	if err != nil {
		return nil, err
	}
	firstTheirs, err := peer.frames(fileDisplayFilter, 0)
	if err != nil {
		return nil, err
	}
	filtered, err := w.randomPages(ctx, v, peer, name, fileFilter, fileDisplayFilter, fileSelected)
	if err != nil {
		return nil, err
	}
	after, err := highWaters(pids, false)
	if err != nil {
		return nil, err
	}
	more := int64(after-before) << 10
	return []figure{
		plain,
		{what: "HTTPS: the same file by a filter, first time | sharkd", ours: milliseconds(firstOurs),
			peer: milliseconds(firstTheirs)},
		filtered,
		{what: "HTTPS: memory that the appliance and its front needed more for all that at their highest (VmHWM)",
			ours: fmt.Sprintf("%.1f MB, from %.1f MB", megabytes(more), megabytes(int64(before)<<10)),
			peer: "-", goal: "at most 60 MB", met: more <= packetsMemory},
	}, nil
}

// randomPages asks for pages at random positions, of both programs in turns.
func (w *webBench) randomPages(
	ctx context.Context, v *visitor, peer *sharkd, name, filter, displayFilter string, of int,
) (figure, error) {
	random := rand.New(rand.NewPCG(200, uint64(of)))
	var ours, theirs []time.Duration
	for range w.often(200) {
		skip := random.IntN(of - packetRows)
		took, err := v.look(ctx, name, filter, skip+1)
		if err != nil {
			return figure{}, err
		}
		its, err := peer.frames(displayFilter, skip)
		if err != nil {
			return figure{}, err
		}
		ours, theirs = append(ours, took), append(theirs, its)
	}
	what := fmt.Sprintf("HTTPS: %d rows from anywhere in it", packetRows)
	if filter != "" {
		what += ", by the filter"
	}
	most := quantile(ours, 0.95)
	return figure{what: what + " | sharkd", ours: tail(ours), peer: tail(theirs), goal: "95 % within 150 ms",
		met: most <= packetPatience}, nil
}

// tail returns the median, what most are within, and the longest.
func tail(of []time.Duration) string {
	return fmt.Sprintf("%s, 95 %% within %s, worst %s", milliseconds(median(of)), milliseconds(quantile(of, 0.95)),
		milliseconds(quantile(of, 1)))
}

// highWaters returns the sum of the peak memory of processes in KiB. With forget it is reset before
// to what they have now.
func highWaters(pids []int, forget bool) (sum int, err error) {
	for _, pid := range pids {
		if forget {
			if err := forgetHighWater(pid); err != nil {
				return 0, err
			}
		}
		n, err := highWater(pid)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// wireshark returns one of Wireshark's programs, not yet started, with default settings.
func (w *webBench) wireshark(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir)
	return cmd
}
