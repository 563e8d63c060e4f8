package capture_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
)

// The files of a process that was killed, in every mode and format.

// childSpec, in the environment, makes the test binary a capture into the directory
// childDir until it is killed.
const (
	childDir  = "CAPTURE_TEST_DIR"
	childSpec = "CAPTURE_TEST_SPEC"
)

func TestMain(m *testing.M) {
	// As in the appliance: each thread of a capture keeps one of Go's processors while it is in the
	// kernel.
	runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	if path := os.Getenv(childDir); path != "" {
		captureUntilKilled(path, os.Getenv(childSpec))
	}
	os.Exit(m.Run())
}

func captureUntilKilled(path, text string) {
	// The main goroutine is on the main thread, which is in the namespace like all.
	var s capture.Spec
	must(json.Unmarshal([]byte(text), &s))
	dir, err := os.OpenRoot(path)
	must(err)
	interfaces, err := afpacket.Resolve(s.Interfaces)
	must(err)
	files, err := pcapfile.NewFiles(0)
	must(err)
	config := capture.Config{
		Spec: s, Interfaces: interfaces, Open: afpacket.Options{}.Open, Create: files.Create, Append: files.Append,
		Dir: dir, FileName: "capture." + string(s.Format),
		Prepare: func() error { return afpacket.Prepare(nil, nil) },
	}
	entries, err := os.ReadDir(path)
	must(err)
	if len(entries) > 0 {
		// The capture resumes what is there.
		before := capture.Status{StartTime: time.Now()}
		for _, e := range entries {
			info, err := pcapfile.Repair(filepath.Join(path, e.Name()))
			must(err)
			number, _ := capture.FileNumber(config.FileName, e.Name())
			config.NextFile = max(config.NextFile, number+1)
			before.Files = append(before.Files, info)
			before.PacketsWritten += uint64(info.Packets)
			before.BytesWritten += info.Bytes
		}
		config.Before = &before
	}
	_, err = capture.Start(config)
	must(err)
	os.Stdout.WriteString("started")
	select {}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// killPoints returns how many times the test kills a capture: by default each kind of capture once
// in each format. KILL_POINTS=200 make kills is the full test.
func killPoints() int {
	if n, err := strconv.Atoi(os.Getenv("KILL_POINTS")); err == nil {
		return n
	}
	return 2 * len(killedKinds)
}

// killedKinds are the captures that are killed: every mode, and other options that change the
// files.
var killedKinds = []struct {
	name   string
	change func(*capture.Spec, *rand.Rand)
}{
	{"single", func(*capture.Spec, *rand.Rand) {}},
	{"circular", func(s *capture.Spec, _ *rand.Rand) { s.Mode, s.Limits.SizeBytes = capture.Circular, 20<<20 }},
	{"ring-by-size", func(s *capture.Spec, random *rand.Rand) {
		s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 1 << 20, KeepFiles: 2 + random.Int64N(4)}
	}},
	{"ring-by-time", func(s *capture.Spec, _ *rand.Rand) {
		s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileSeconds: 1, KeepFiles: 2}
	}},
	{"append", func(s *capture.Spec, _ *rand.Rand) { s.Mode = capture.Append }},
	{"persistent", func(s *capture.Spec, _ *rand.Rand) { s.Persistent = true }},
	{"persistent-ring", func(s *capture.Spec, _ *rand.Rand) {
		s.Persistent, s.Mode, s.Rotation = true, capture.Ring, capture.Rotation{FileBytes: 2 << 20, KeepFiles: 20}
	}},
	{"several-interfaces", func(s *capture.Spec, _ *rand.Rand) { s.Interfaces = []string{"right", "right2"} }},
}

func TestKilledCaptureIsWholeUpToTheLastSecond(t *testing.T) {
	// With more at a time the processors might not keep up, and the kernel would drop packets.
	running := make(chan struct{}, 4)
	for point := range killPoints() {
		kind := killedKinds[point%len(killedKinds)]
		format := []capture.Format{capture.PCAP, capture.PCAPNG}[point/len(killedKinds)%2]
		t.Run(fmt.Sprintf("%d/%s/%s", point, kind.name, format), func(t *testing.T) {
			t.Parallel()
			running <- struct{}{}
			defer func() { <-running }()
			random := rand.New(rand.NewPCG(uint64(point), 4))
			s := spec("right")
			s.Format = format
			kind.change(&s, random)
			newBed(t).kill(t, s, random)
		})
	}
}

// kill kills a capture at a random time and checks its files.
func (b *bed) kill(t *testing.T, s capture.Spec, random *rand.Rand) {
	wires := []*wire{b.wire("left")}
	if len(s.Interfaces) > 1 {
		b.ns.Veth(t, "left2", "right2")
		wires = append(wires, b.wire("left2"))
	}
	var sent []time.Time // when each frame was
	send := func(frames int) {
		for range frames {
			n := len(sent)
			sent = append(sent, time.Now())
			wires[n%len(wires)].send(killedFrame(n))
		}
	}
	must := func(killed time.Time) int { // how many frames were sent a second before
		n := 0
		for n < len(sent) && sent[n].Before(killed.Add(-time.Second)) {
			n++
		}
		return n
	}
	base := "capture" + s.Format.Extension()
	var lost []int // the first frame that an earlier death cost, and the first of the life after it
	switch {
	case s.Mode == capture.Append:
		// A file from a capture that ended in order.
		job := b.start(spec("right"), func(c *capture.Config) { c.Spec.Format, c.FileName = s.Format, base })
		send(100)
		b.stop(job)
	case s.Persistent:
		killed := b.liveAndDie(s, random, send)
		b.repaired(base)
		next := b.lookAt(base, -1, nil).next
		if next < must(killed) || next > len(sent) {
			t.Errorf("the last packet of the first life is %d; %d were sent, %d of them a second before its end", next,
				len(sent), must(killed))
		}
		lost = []int{next, len(sent)}
	}
	killed := b.liveAndDie(s, random, send)

	names := b.repaired(base)
	left := b.lookAt(base, -1, lost)
	t.Logf("%d packets in %d files, of %d sent, up to %d; up to %d had to be there", left.packets, len(names),
		len(sent), left.next, must(killed))
	if left.next < must(killed) || left.next > len(sent) {
		t.Errorf("the last packet is %d; %d were sent, %d of them a second before the end", left.next,
			len(sent), must(killed))
	}
	// The files begin at the first packet, or hold as much as the user asked for.
	asked := map[capture.Mode]int64{capture.Circular: s.Limits.SizeBytes * 8 / 10,
		capture.Ring: (s.Rotation.KeepFiles - 1) * s.Rotation.FileBytes * 9 / 10}[s.Mode]
	switch {
	case left.first <= 0, len(lost) == 2 && lost[0] == 0 && left.first == lost[1]:
	case s.Rotation.FileSeconds > 0:
		if kept, least := sent[left.next-1].Sub(sent[left.first]),
			time.Duration(s.Rotation.FileSeconds)*time.Second*9/10; kept < least {
			t.Errorf("of a ring of %d files of a second %v are kept", s.Rotation.KeepFiles, kept)
		}
	case left.bytes < asked || asked == 0:
		t.Errorf("the first packet is %d, and %d bytes are kept", left.first, left.bytes)
	}
}

// liveAndDie lets a process capture while frames are sent, kills it, and returns the time of that.
func (b *bed) liveAndDie(s capture.Spec, random *rand.Rand, send func(frames int)) time.Time {
	b.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+b.path, childSpec+"="+string(text))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	b.ns.Do(b, func() { err = child.Start() })
	if err != nil {
		b.Fatal(err)
	}
	if n, err := out.Read(make([]byte, 7)); n == 0 {
		b.Fatalf("the child does not start: %v", err)
	}

	// Slow traffic is written through the page cache, fast traffic by direct writes. None is so
	// fast that the kernel must drop packets: this test is not about speed.
	pause := []time.Duration{100 * time.Microsecond, 300 * time.Microsecond, 5 * time.Millisecond}[random.IntN(3)]
	life := time.Duration(50+random.IntN(1900)) * time.Millisecond
	if s.Rotation.FileSeconds > 0 {
		life *= 2 // so that files go
	}
	for begin := time.Now(); time.Since(begin) < life; time.Sleep(pause) {
		send(20)
	}
	killed := time.Now()
	child.Process.Kill()
	child.Wait()
	return killed
}

// A remains is what the files of a capture of numbered frames contain.
type remains struct {
	packets     int
	bytes       int64
	first, next int // number of the first frame, and of the one after the last
}

// lookAt reads the files of a capture. Their frames must follow each other from the number want, or
// from any if that is negative. Of the numbers from lost[0] to before lost[1] some may be missing.
func (b *bed) lookAt(base string, want int, lost []int) remains {
	b.Helper()
	r := remains{first: want, next: want}
	for _, name := range b.files(base) {
		got := b.read(name)
		for _, p := range got {
			if r.next < 0 {
				r.first = int(frameNumber(p.data))
				r.next = r.first
			}
			if len(lost) == 2 && r.next == lost[0] {
				r.next = lost[1]
			}
			if !sameFrame(p.data, r.next) {
				b.Fatalf("%s: where packet %d should be is\n%.200x", name, r.next, p.data)
			}
			r.next++
		}
		r.packets += len(got)
		info, err := os.Stat(filepath.Join(b.path, name))
		if err != nil {
			b.Fatal(err)
		}
		r.bytes += info.Size()
		wireshark(b, filepath.Join(b.path, name), len(got))
	}
	r.next = max(r.next, 0)
	if len(lost) == 2 && r.next == lost[0] {
		r.next = lost[1] // the later life has no packet yet
	}
	return r
}

// repaired repairs the files that captures left, as the appliance does when it starts, and returns
// those of one capture in their order.
func (b *bed) repaired(base string) []string {
	b.Helper()
	entries, err := os.ReadDir(b.path)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		final, ok := capture.FinalName(e.Name())
		if !ok {
			continue
		}
		part := filepath.Join(b.path, e.Name())
		_, err := pcapfile.Repair(part)
		if errors.Is(err, pcapfile.ErrNoCapture) {
			err = os.Remove(part) // it was begun at that moment
		} else if err == nil {
			err = os.Rename(part, filepath.Join(b.path, final))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	names := b.files(base)
	if len(names) == 0 {
		b.Fatalf("there is no file of %s", base)
	}
	return names
}

// files returns the finished files of a capture in their order.
func (b *bed) files(base string) []string {
	b.Helper()
	entries, err := os.ReadDir(b.path)
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if _, ok := capture.FileNumber(base, e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(x, y string) int {
		a, _ := capture.FileNumber(base, x)
		b, _ := capture.FileNumber(base, y)
		return cmp.Compare(a, b)
	})
	return names
}

// killedFrame returns a numbered frame. It costs little, so that sending is fast.
func killedFrame(i int) []byte {
	f := bytes.Repeat([]byte{byte(i), byte(i >> 8), 0x5a}, (60+i%1400)/3)
	copy(f, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\xb5")
	binary.BigEndian.PutUint64(f[14:], uint64(i))
	return f
}

func sameFrame(data []byte, i int) bool { return bytes.Equal(data, killedFrame(i)) }

func frameNumber(data []byte) uint64 {
	if len(data) < 22 {
		return 0
	}
	return binary.BigEndian.Uint64(data[14:])
}

// If a file system does not report holes, pages that were never written read as zeros.
func TestPowerCutLeavesNoTornPacket(t *testing.T) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		b := newBed(t)
		s := spec("right")
		s.Format = format
		job := b.start(s)
		left := b.wire("left")
		const n = 4000
		for i := range n {
			left.send(killedFrame(i))
		}
		b.stop(job)
		name := "capture" + format.Extension()
		path := filepath.Join(b.path, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(5, uint64(len(format))))
		for range 20 {
			// From some page on nothing was written, or some of it was.
			cut := slices.Clone(whole)
			from := (1 + random.IntN(len(cut)/4096-1)) * 4096
			to := min(from+4096*(1+random.IntN(200)), len(cut))
			if random.IntN(2) == 0 {
				to = len(cut)
			}
			clear(cut[from:to])
			if err := os.WriteFile(path, cut, 0o600); err != nil {
				t.Fatal(err)
			}
			info, err := pcapfile.Repair(path)
			if err != nil {
				t.Fatal(err)
			}
			got := b.read(name)
			if int64(len(got)) != info.Packets || info.Bytes > int64(from) || info.Bytes < int64(from)-2*4096 {
				t.Fatalf("%s: of a file cut from %d to %d there are %d packets in %d bytes", format, from, to,
					len(got), info.Bytes)
			}
			for i, p := range got {
				if !sameFrame(p.data, i) {
					t.Fatalf("%s: packet %d is\n%x", format, i, p.data)
				}
			}
		}
	}
}

func TestFileNumbers(t *testing.T) {
	for _, number := range []int{1, 9, 9999, 12345} {
		name := capture.NumberedName("mx1-a.b-2026.pcapng", number)
		if n, ok := capture.FileNumber("mx1-a.b-2026.pcapng", name); !ok || n != number {
			t.Errorf("%s is number %d, %v", name, n, ok)
		}
	}
	if n, ok := capture.FileNumber("a.pcap", "a.pcap"); n != 1 || !ok {
		t.Errorf("a name without a number is %d, %v", n, ok)
	}
	for _, name := range strings.Fields("a-1.pcap a-0000.pcap a--001.pcap a-0001.pcapng b-0001.pcap a-00001.pcap " +
		"a-0001x.pcap") {
		if n, ok := capture.FileNumber("a.pcap", name); ok {
			t.Errorf("%s is taken for number %d", name, n)
		}
	}
}
