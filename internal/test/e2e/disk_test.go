package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/netnstest"
)

// newBedOn is a bed whose appliance keeps everything on a disk of its own.
func newBedOn(t *testing.T, disk func(path string) *disktest.Disk) *bed {
	t.Helper()
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	return &bed{Appliance: appliance.Start(t, appliance.Options{Network: ns, Disk: disk, Config: "captures: {diskReserve: 1MB}\n"}), t: t, ns: ns}
}

// Everything that the appliance keeps is on a disk that another writer fills to the last byte while
// captures run. People still get in, see what happened, act, and make room; the appliance starts on
// the full disk too.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	need(t, "ssh", "openssh-client")
	need(t, "tshark", "tshark")
	b := newBedOn(t, func(path string) *disktest.Disk { return disktest.Tmpfs(t, path, "64m") })
	right := b.ns.Frames(t, "right")

	captures := []string{"large", "round", "circle"}
	b.do("op", "packetcapture start name large interface left filter 'udp port 9999'")
	b.do("op", "packetcapture start name round interface left filter 'udp port 9999' mode ring filesize 1MB keepfiles 3 format pcapng")
	b.do("op", "packetcapture start name circle interface left filter 'udp port 9999' mode circular size 10MB")
	const packets = 8000 // of 1442 bytes
	for range packets {
		right.Send(netnstest.UDP(9999, make([]byte, 1400)))
	}
	await.Until(b.t, "all packets", func() bool {
		return b.capture("large").PacketsWritten == packets && b.capture("round").PacketsWritten == packets
	})
	traffic := startStream(right)
	defer traffic.stop()
	taken, release := b.Disk.Fill()

	for _, name := range captures {
		await.Until(b.t, "the end of "+name, func() bool { return b.capture(name).State == capture.Stopped })
		b.fullDiskEnded(name)
	}
	b.worksOnAFullDisk()

	// Room is made with the appliance's own means, and there is a capture again.
	release()
	if out := b.do("op", "packetcapture delete large confirm yes"); !strings.Contains(out, "large") {
		t.Errorf("it is deleted: %q", out)
	}
	b.do("op", "packetcapture start name fresh interface left filter 'udp port 9999' packets 1000")
	await.Until(b.t, "a capture after that", func() bool { return b.capture("fresh").State == capture.Stopped })
	if s := b.capture("fresh"); s.StopReason != capture.PacketCountReached || s.PacketsWritten != 1000 {
		t.Errorf("it ended as %+v", s)
	}
	b.auditTellsOfTheGap()

	// The appliance dies on a disk that is full again, and starts on it.
	await.Until(b.t, "the table on the disk", func() bool {
		table := string(read(t, filepath.Join(b.Data, "captures.json")))
		return strings.Count(table, `"stopReason": "DiskLow"`) == 2 && strings.Contains(table, `"stopReason": "PacketCountReached"`)
	})
	release = b.diesOnAFullDisk()
	b.Restart()
	for _, name := range append(captures[1:], "cut") {
		b.fullDiskEnded(name)
	}
	b.worksOnAFullDisk()
	release()
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	b.do("op", "packetcapture delete ALL confirm yes")
	b.do("op", "packetcapture start name last interface left filter 'udp port 9999' packets 10")
	await.Until(b.t, "a capture after the restart", func() bool { return b.capture("last").PacketsWritten == 10 })
	b.auditTellsOfTheGap()
}

// diesOnAFullDisk kills the appliance when a capture has ended on a full disk and the table on the disk
// does not know of that. A capture that ends makes room for a moment, in which a busy machine may write
// the table before the disk is full again: then the appliance dies once more.
func (b *bed) diesOnAFullDisk() (release func()) {
	b.t.Helper()
	for range 5 {
		b.do("op", "packetcapture start name cut interface left filter 'udp port 9999'")
		taken, release := b.Disk.Fill()
		await.Until(b.t, "the end of the last capture", func() bool { return b.capture("cut").State == capture.Stopped })
		b.Kill()
		if strings.Count(string(read(b.t, filepath.Join(b.Data, "captures.json"))), `"stopReason": "DiskLow"`) == 2 {
			return release
		}
		release()
		if err := os.Remove(taken); err != nil {
			b.t.Fatal(err)
		}
		b.Restart()
		b.do("op", "packetcapture delete cut confirm yes")
	}
	b.t.Fatal("the disk was never full to the brim: the table knows of each end")
	return nil
}

// fullDiskEnded makes sure that a capture says that the disk was full, and that its files hold what
// it says.
func (b *bed) fullDiskEnded(name string) {
	b.t.Helper()
	var s capture.Status
	if err := json.Unmarshal([]byte(b.do("op", "packetcapture status "+name+" --json")), &s); err != nil {
		b.t.Fatal(err)
	}
	if s.State != capture.Stopped || s.StopReason != capture.DiskLow || len(s.Files) == 0 || s.PacketsReceived != s.PacketsWritten+s.PacketsDiscarded {
		b.t.Errorf("%s ended as %+v", name, s)
	}
	for _, f := range s.Files {
		local := filepath.Join(b.t.TempDir(), "judged")
		if r := b.sftp("op", "get diagnostic/"+f.Name+" "+local); r.Status != 0 {
			b.t.Fatalf("%+v", r)
		}
		if out := tool(b.t, "capinfos", "-Mc", local); !strings.Contains(out, "Number of packets:   "+strconv.FormatInt(f.Packets, 10)+"\n") {
			b.t.Errorf("%s has %d packets, and capinfos says:\n%s", f.Name, f.Packets, out)
		}
	}
}

// worksOnAFullDisk logs in and acts, and looks at what the appliance keeps.
func (b *bed) worksOnAFullDisk() {
	b.t.Helper()
	b.do("ro", "netstat routes")
	ssh, _ := b.person("packetcapture list")
	ssh.Process.Kill()
	ssh.Wait()
	// What cannot be done is said, and leaves nothing behind.
	if r := b.SSH("op", "packetcapture start name refused interface left"); r.Status == 0 || !strings.Contains(r.Err, "disk") {
		b.t.Errorf("a capture on the full disk: %+v", r)
	}
	if r := b.SSH("op", "packetcapture status refused"); r.Status != 4 {
		b.t.Errorf("the capture that was refused: %+v", r)
	}
	if out := b.do("admin", "status"); !strings.Contains(out, "audit log") || !strings.Contains(out, "lacks") {
		b.t.Errorf("the status does not tell that the audit log lacks lines:\n%s", out)
	}
	documents, err := filepath.Glob(filepath.Join(b.Data, "*.json"))
	if err != nil || len(documents) < 2 {
		b.t.Fatal(documents, err)
	}
	for _, path := range documents {
		if content := read(b.t, path); !json.Valid(content) {
			b.t.Errorf("%s is half written: %d bytes", path, len(content))
		}
	}
	for _, pattern := range []string{"audit/*.jsonl", "log/*", "visits.jsonl"} {
		paths, _ := filepath.Glob(filepath.Join(b.Data, pattern))
		for _, path := range paths {
			// A line that the disk takes only a part of is taken back a moment later.
			await.Until(b.t, "whole lines in "+path, func() bool {
				for line := range strings.Lines(string(read(b.t, path))) {
					if !json.Valid([]byte(line)) {
						return false
					}
				}
				return true
			})
		}
	}
}

// auditTellsOfTheGap makes sure that the audit log itself says how many lines it lacks.
func (b *bed) auditTellsOfTheGap() {
	b.t.Helper()
	out := b.do("admin", "auditlog 1000")
	if !regexp.MustCompile(`[1-9][0-9]* lines are missing here, since`).MatchString(out) {
		b.t.Errorf("the audit log does not tell of the lines that it lacks:\n%s", out)
	}
}

// The power of the disk that the appliance keeps everything on fails, with all that the kernel had
// not written yet. What had ended is as it was; what ran has its packets up to the last second.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	b := newBedOn(t, func(path string) *disktest.Disk { return disktest.Ext4(t, path, 128<<20) })
	b.Disk.Sync() // what the bench wrote before the appliance was there
	traffic := startStream(b.ns.Frames(t, "right"))
	stop := sync.OnceFunc(traffic.stop)
	defer stop()
	begin := func(line string) {
		t.Helper()
		if r := b.SSH("op", "packetcapture start interface left filter 'udp port 9999' "+line); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
	}
	begin("name whole packets 500")
	begin("name single")
	begin("name round mode ring filesize 1MB keepfiles 3 format pcapng")
	await.Until(b.t, "files that went", func() bool { return b.capture("round").FilesRemoved > 1 })
	whole := b.capture("whole")
	if whole.StopReason != capture.PacketCountReached {
		t.Fatalf("it is %+v", whole)
	}
	cut := time.Now()
	b.Disk.CutPower()
	b.Kill()
	stop()
	b.Disk.PowerUp()
	b.Restart()

	if s := b.capture("whole"); s.StopReason != whole.StopReason || !reflect.DeepEqual(s.Files, whole.Files) || len(payloads(t, b.file(s.Files[0].Name))) != 500 {
		t.Errorf("what had ended is %+v, and was %+v", s, whole)
	}
	for _, name := range []string{"single", "round"} {
		s := b.capture(name)
		if s.State != capture.Stopped && s.State != capture.Error || len(s.Files) == 0 || name == "round" && len(s.Files) < 2 {
			t.Fatalf("%s is %+v", name, s)
		}
		next, last := uint64(0), time.Time{}
		for _, f := range s.Files {
			got := payloads(t, b.file(f.Name))
			if int64(len(got)) != f.Packets {
				t.Errorf("%s has %d packets, its capture says %d", f.Name, len(got), f.Packets)
			}
			for _, p := range got {
				n, sent := stamp(t, p)
				if next > 0 && n != next {
					t.Fatalf("%s: where packet %d should be is %d", f.Name, next, n)
				}
				next, last = n+1, sent
			}
		}
		if lost := cut.Sub(last); lost > time.Second {
			t.Errorf("%s: the last %v before the power cut are lost", name, lost)
		}
	}
	for _, line := range []string{"userconfig list", "auditlog 10", "packetcapture list"} {
		if r := b.SSH("admin", line); r.Status != 0 {
			t.Errorf("%s: %+v", line, r)
		}
	}
}
