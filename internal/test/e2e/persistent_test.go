package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/await"
)

// The whole appliance dies while captures run. Those that persist go on as a new part, with their
// counters; what they had before is whole. The others say that they were interrupted, and what was
// planned begins at its time.
func TestKilledApplianceGoesOn(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	need(t, "capinfos", "wireshark-common")
	b := newBed(t)
	// In every mode.
	persistent := map[string]string{
		"single": "mode single", "circular": "mode circular size 100MB", "sized": "mode ring filesize 1MB format pcapng",
		"timed": "mode ring filetime 1s", "appended": "mode append format pcapng",
	}
	traffic := startStream(b.ns.Frames(t, "right"))
	stop := sync.OnceFunc(traffic.stop)
	defer stop()
	// The ring holds seconds of the traffic: where this machine starves the appliance, that is no
	// gap.
	begin := func(name, how string) {
		t.Helper()
		if r := b.SSH("op", "packetcapture start name "+name+" interface left filter 'udp port 9999' ring 16MB "+how); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
	}
	begin("once", "")
	for name, how := range persistent {
		begin(name, how+" persistent yes")
	}
	at := time.Now().Add(4 * time.Second).UTC().Truncate(time.Second)
	begin("later", "persistent yes at '"+at.Format(time.RFC3339)+"'")
	await.Until(b.t, "a file that is full and one that had its time", func() bool {
		return len(b.capture("sized").Files) >= 2 && len(b.capture("timed").Files) >= 2
	})
	for name := range persistent {
		await.Until(b.t, name+" to have packets on the disk", func() bool { return b.reached(b.capture(name)) })
	}
	await.Until(b.t, "once to have packets on the disk", func() bool { return b.reached(b.capture("once")) })

	before := map[string][]capture.FileInfo{}
	for range 2 {
		killed := time.Now()
		b.Kill()
		b.Restart()
		for name := range persistent {
			await.Until(b.t, name+" to go on", func() bool {
				s := b.capture(name)
				return s.State == capture.Running && len(s.Files) > 0 && s.Files[len(s.Files)-1].Last.After(killed) && b.reached(s)
			})
			// The parts of the life before are those of its files that are closed. One that is full
			// has its last blocks and its name only then.
			if name != "appended" {
				before[name] = slices.DeleteFunc(b.capture(name).Files, func(f capture.FileInfo) bool { return b.size(f.Name) != f.Bytes })
			}
		}
	}
	if s := b.capture("once"); s.State != capture.Stopped || s.StopReason != capture.Interrupted || s.PacketsWritten == 0 || len(s.Files) != 1 || s.EndTime.IsZero() {
		t.Errorf("what does not persist is %+v", s)
	}
	await.Until(b.t, "the planned capture", func() bool { return b.capture("later").PacketsWritten > 0 })
	later := b.capture("later")
	// A file in which a kill left no packet has no first one.
	full := slices.DeleteFunc(slices.Clone(later.Files), func(f capture.FileInfo) bool { return f.Packets == 0 })
	if later.StartTime.Before(at) || len(full) == 0 || full[0].First.Before(at.Add(-time.Millisecond)) {
		t.Errorf("what was planned for %v began at %v: %+v", at, later.StartTime, later.Files)
	}
	stop()
	await.Until(b.t, "the last packets", func() bool { return b.capture("single").PacketsWritten == b.capture("single").PacketsReceived })
	for name := range persistent {
		b.wentOn(name, before[name], traffic.sent.Load())
	}
}

// reached tells whether packets of the newest file of a capture are on the disk, not only on their
// way.
func (b *bed) reached(s capture.Status) bool {
	name := s.Files[len(s.Files)-1].Name
	info, err := os.Stat(b.file(capture.PartName(name)))
	return err == nil && info.Size() > 4<<10 || b.exists(name)
}

// size is that of a file of the diagnostic directory, or -1 where there is none of that name.
func (b *bed) size(name string) int64 {
	info, err := os.Stat(b.file(name))
	if err != nil {
		return -1
	}
	return info.Size()
}

// payloadsOf returns the payloads of the packets of each file, by capinfos, mergecap and tcpdump. A
// process for each file would take minutes where there are hundreds.
func payloadsOf(t *testing.T, paths []string) (packets [][]string) {
	t.Helper()
	if len(paths) == 0 {
		return nil
	}
	all := filepath.Join(t.TempDir(), "all")
	tool(t, "mergecap", append([]string{"-a", "-w", all}, paths...)...)
	left := payloads(t, all)
	for line := range strings.Lines(tool(t, "capinfos", append([]string{"-T", "-r", "-M", "-c"}, paths...)...)) {
		path, count, _ := strings.Cut(strings.TrimSpace(line), "\t")
		n, err := strconv.Atoi(count)
		if err != nil || n > len(left) || path != paths[len(packets)] {
			t.Fatalf("capinfos says %q of %s, of which %d packets are left", line, paths[len(packets)], len(left))
		}
		packets, left = append(packets, left[:n]), left[n:]
	}
	if len(packets) != len(paths) || len(left) > 0 {
		t.Fatalf("capinfos knows %d files of %d, and %d packets more", len(packets), len(paths), len(left))
	}
	return packets
}

// paths are those of files of the diagnostic directory.
func (b *bed) paths(files []capture.FileInfo) (paths []string) {
	for _, f := range files {
		paths = append(paths, b.file(f.Name))
	}
	return paths
}

// wentOn stops a capture that persisted and looks at its parts.
func (b *bed) wentOn(name string, before []capture.FileInfo, sent uint64) {
	t := b.t
	t.Helper()
	if r := b.SSH("op", "packetcapture stop "+name); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	s := b.capture(name)
	least := 3 // lives
	if name == "appended" {
		least = 1
	}
	if s.StopReason != capture.StoppedByUser || len(s.Files) < least || s.PacketsReceived != s.PacketsWritten || s.PacketsMatched != nil || s.PacketsDropped != nil { // what was dropped before a kill nobody knows
		t.Errorf("%s ended as %+v", name, s)
	}
	next, total, gaps := uint64(0), uint64(0), 0
	packets := payloadsOf(t, b.paths(s.Files))
	for i, f := range s.Files {
		got := packets[i]
		if n := b.size(f.Name); n != f.Bytes {
			t.Errorf("%s has %d bytes, its capture says %d", f.Name, n, f.Bytes)
		}
		if int64(len(got)) != f.Packets {
			t.Errorf("%s has %d packets, its capture says %d", f.Name, len(got), f.Packets)
		}
		total += uint64(len(got))
		for _, p := range got {
			n, _ := stamp(t, p)
			if n < next || n >= sent {
				t.Fatalf("%s: where packet %d should be, or a later one, is %d of %d", f.Name, next, n, sent)
			}
			if n > next && next > 0 {
				gaps++ // the appliance was not there
			}
			next = n + 1
		}
	}
	if total != s.PacketsWritten || gaps > 2 {
		t.Errorf("%s: %d packets in its files, %d written, missing in %d places", name, total, s.PacketsWritten, gaps)
	}
	// What the table said of the parts of earlier lives is still so, and so are they.
	for _, f := range before {
		if !slices.ContainsFunc(s.Files, func(now capture.FileInfo) bool {
			return now.Name == f.Name && now.Packets == f.Packets && now.Bytes == f.Bytes
		}) {
			t.Errorf("%s: the part %+v is not there any more: %+v", name, f, s.Files)
		}
	}
	entries, err := os.ReadDir(filepath.Join(b.Data, "diagnostic"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".part") && strings.Contains(e.Name(), "-"+name+"-") {
			t.Errorf("%s is left", e.Name())
		}
	}
}
