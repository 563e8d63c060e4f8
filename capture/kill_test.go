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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
)

// What is left after a death, in every mode and format.

// childSpec, in the environment, makes the test binary a capture into the directory
// childDir until it is killed.
const (
	childDir  = "CAPTURE_TEST_DIR"
	childSpec = "CAPTURE_TEST_SPEC"
)

func TestMain(m *testing.M) {
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
		Spec: s, Interfaces: interfaces, Open: afpacket.Options{}.Open, Create: files.Create, Append: files.Append, Dir: dir, FileName: "capture." + string(s.Format),
	}
	if s.Mode == capture.Append {
		// It goes on in a file that is there.
		info, err := pcapfile.Repair(filepath.Join(path, config.FileName))
		must(err)
		config.Before = &capture.Status{StartTime: time.Now(), Files: []capture.FileInfo{info}, PacketsWritten: uint64(info.Packets), BytesWritten: info.Bytes}
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

// killPoints is how many deaths the test watches; KILL_POINTS=200 make kills is the
// whole of it.
func killPoints() int {
	if n, err := strconv.Atoi(os.Getenv("KILL_POINTS")); err == nil {
		return n
	}
	return 8
}

func TestKilledCaptureIsWholeUpToTheLastSecond(t *testing.T) {
	b := newBed(t)
	left := b.wire("left")
	for point := range killPoints() {
		mode := []capture.Mode{capture.Single, capture.Circular, capture.Ring, capture.Append}[point%4]
		format := []capture.Format{capture.PCAP, capture.PCAPNG}[point/4%2]
		t.Run(fmt.Sprintf("%d/%s/%s", point, mode, format), func(t *testing.T) {
			b.in(t.TempDir())
			b.kill(t, left, uint64(point), mode, format)
		})
	}
}

// kill lets a capture die at a moment that the seed says, and looks at what is left.
func (b *bed) kill(t *testing.T, left *wire, seed uint64, mode capture.Mode, format capture.Format) {
	random := rand.New(rand.NewPCG(seed, 4))
	s := spec("right")
	s.Mode, s.Format = mode, format
	switch mode {
	case capture.Circular:
		s.Limits.SizeBytes = 20 << 20
	case capture.Ring:
		s.Rotation = capture.Rotation{FileBytes: 1 << 20, KeepFiles: 2 + random.Int64N(4)}
	}
	number := 0
	if mode == capture.Append {
		// A file from a capture that ended in order.
		job := b.start(spec("right"), func(c *capture.Config) { c.Spec.Format, c.FileName = format, "capture."+string(format) })
		for ; number < 100; number++ {
			left.send(killedFrame(number))
		}
		b.stop(job)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+b.path, childSpec+"="+string(text))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.ns.Do(t, func() { err = child.Start() })
	if err != nil {
		t.Fatal(err)
	}
	if n, err := out.Read(make([]byte, 7)); n == 0 {
		t.Fatalf("the child does not start: %v", err)
	}

	// Slow traffic ends in the page cache, fast traffic goes by way of direct writes. None
	// is so fast that the kernel would have to drop packets: this is not about speed.
	pause := []time.Duration{100 * time.Microsecond, 300 * time.Microsecond, 5 * time.Millisecond}[random.IntN(3)]
	life := time.Duration(50+random.IntN(1900)) * time.Millisecond
	begin := time.Now()
	first := number
	var sent []time.Duration
	for time.Since(begin) < life {
		for range 20 {
			sent = append(sent, time.Since(begin))
			left.send(killedFrame(number))
			number++
		}
		time.Sleep(pause)
	}
	killed := time.Since(begin)
	child.Process.Kill()
	child.Wait()
	must := first
	for must < number && sent[must-first] < killed-time.Second {
		must++
	}

	names := b.finish(t)
	next, packets, bytes := -1, 0, int64(0)
	for _, name := range names {
		got := b.read(name)
		for _, p := range got {
			if next < 0 {
				next = int(frameNumber(p.data))
			}
			if !sameFrame(p.data, next) {
				t.Fatalf("%s: where packet %d should be is\n%x", name, next, p.data)
			}
			next++
		}
		packets += len(got)
		info, err := os.Stat(filepath.Join(b.path, name))
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
		wireshark(t, filepath.Join(b.path, name), len(got))
	}
	t.Logf("%d packets in %d files, of %d sent, up to %d; up to %d had to be there", packets, len(names), number, next, must)
	next = max(next, 0)
	if next < must || next > number {
		t.Errorf("the last packet is %d; %d were sent, %d of them a second before the end", next, number, must)
	}
	// What is kept begins at the first packet, or as much is kept as was asked for.
	kept := map[capture.Mode]int64{capture.Circular: s.Limits.SizeBytes * 8 / 10, capture.Ring: (s.Rotation.KeepFiles - 1) * s.Rotation.FileBytes * 9 / 10}[mode]
	if packets < next && (kept == 0 || bytes < kept) {
		t.Errorf("of %d packets %d are kept, in %d bytes", next, packets, bytes)
	}
}

// finish does with what a capture left what the appliance does when it starts, and
// returns the files in their order.
func (b *bed) finish(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(b.path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if final, ok := capture.FinalName(name); ok {
			_, err := pcapfile.Repair(filepath.Join(b.path, name))
			if errors.Is(err, pcapfile.ErrNoCapture) {
				continue // it was begun at that moment
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(b.path, name), filepath.Join(b.path, final)); err != nil {
				t.Fatal(err)
			}
			name = final
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		t.Fatal("there is no file")
	}
	base := "capture" + filepath.Ext(names[0])
	slices.SortFunc(names, func(x, y string) int {
		a, _ := capture.FileNumber(base, x)
		b, _ := capture.FileNumber(base, y)
		return cmp.Compare(a, b)
	})
	return names
}

// killedFrame is cheap to make, so that sending is fast.
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

// A power cut leaves pages that were never written, and they read as zeros.
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
				t.Fatalf("%s: of a file cut from %d to %d there are %d packets in %d bytes", format, from, to, len(got), info.Bytes)
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
	for _, name := range strings.Fields("a-1.pcap a-0000.pcap a--001.pcap a-0001.pcapng b-0001.pcap a-00001.pcap a-0001x.pcap") {
		if n, ok := capture.FileNumber("a.pcap", name); ok {
			t.Errorf("%s is taken for number %d", name, n)
		}
	}
}
