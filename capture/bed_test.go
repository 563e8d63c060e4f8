package capture_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"
)

// A bed is a namespace with a pair of interfaces, left and right, and a directory for captures.
type bed struct {
	testing.TB
	ns   *netnstest.Namespace
	path string
	dir  *os.Root
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{TB: t, ns: netnstest.New(t)}
	b.ns.Veth(t, "left", "right")
	b.in(t.TempDir())
	return b
}

// in sets the directory of captures.
func (b *bed) in(path string) {
	b.Helper()
	dir, err := os.OpenRoot(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dir.Close() })
	b.path, b.dir = path, dir
}

// spec returns a capture of interfaces without limits.
func spec(interfaces ...string) capture.Spec {
	return capture.Spec{
		Name:    "test",
		Options: capture.Options{Interfaces: interfaces, Limits: capture.Limits{SizeBytes: capture.Unlimited}},
	}
}

func (b *bed) config(s capture.Spec) capture.Config {
	b.Helper()
	interfaces, err := afpacket.Resolve(s.Interfaces)
	if err != nil {
		b.Fatal(err)
	}
	return capture.Config{
		Spec:       s,
		Interfaces: interfaces,
		Open:       afpacket.Options{Promiscuous: true}.Open,
		Create:     pcapfile.Create,
		Dir:        b.dir,
		FileName:   "capture" + s.FileFormat(len(interfaces)).Extension(),
	}
}

// start starts a capture in the namespace.
func (b *bed) start(s capture.Spec, change ...func(*capture.Config)) *capture.Job {
	b.Helper()
	var job *capture.Job
	b.ns.Do(b, func() {
		config := b.config(s)
		for _, f := range change {
			f(&config)
		}
		var err error
		if job, err = capture.Start(config); err != nil {
			b.Fatal(err)
		}
	})
	b.Cleanup(func() {
		job.Stop(capture.Shutdown)
		<-job.Done()
	})
	return job
}

// stop ends a capture and returns its last status.
func (b *bed) stop(job *capture.Job) capture.Status {
	b.Helper()
	job.Stop(capture.StoppedByUser)
	return b.wait(job)
}

func (b *bed) wait(job *capture.Job) capture.Status {
	b.Helper()
	select {
	case <-job.Done():
	case <-time.After(10 * time.Second):
		b.Fatal("the capture does not end")
	}
	return job.Status()
}

// awaitStatus waits until something is true of a capture's status.
func awaitStatus(t testing.TB, job *capture.Job, what string, holds func(capture.Status) bool) {
	t.Helper()
	var s capture.Status
	if !await.Within(await.Patience, func() bool { s = job.Status(); return holds(s) }) {
		t.Fatalf("waited in vain until %s: %+v", what, s)
	}
}

// A wire sends frames on an interface, and fails the test if it cannot.
type wire struct {
	*bed
	frames *netnstest.Frames
}

func (b *bed) wire(name string) *wire {
	b.Helper()
	return &wire{b, b.ns.Frames(b, name)}
}

func (w *wire) send(frames ...[]byte) {
	w.Helper()
	for _, f := range frames {
		if err := w.frames.Send(f); err != nil {
			w.Fatal(err)
		}
	}
}

// frames returns n Ethernet frames of many lengths, each with its number in it.
func frames(n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([][]byte, n)
	for i := range all {
		all[i] = frame(i, 60+random.IntN(1455))
	}
	return all
}

func frame(number, length int) []byte {
	f := make([]byte, length)
	copy(f, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\xb5") // an experimental EtherType
	binary.BigEndian.PutUint64(f[14:], uint64(number))
	rand.NewChaCha8([32]byte{byte(number), byte(number >> 8)}).Read(f[22:])
	return f
}

// A packet is a packet as an independent reader finds it in a file.
type packet struct {
	data   []byte
	length int
	time   time.Time
	link   int
}

// read reads a capture file with gopacket.
func (b *bed) read(name string) []packet {
	b.Helper()
	f, err := os.Open(filepath.Join(b.path, name))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if filepath.Ext(name) == ".pcapng" {
		r, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			b.Fatal(err)
		}
		return drain(b, r)
	}
	r, err := pcapgo.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	return drain(b, r)
}

func drain(t testing.TB, r gopacket.PacketDataSource) []packet {
	t.Helper()
	var all []packet
	for {
		data, info, err := r.ReadPacketData()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, packet{data, info.Length, info.Timestamp, info.InterfaceIndex})
	}
}

// same fails unless packets are frames, in order, up to the given length of each.
func same(t testing.TB, got []packet, want [][]byte, snap int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("the file has %d packets, %d were sent", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i].data, want[i][:min(snap, len(want[i]))]) {
			t.Fatalf("packet %d is\n%x, not\n%x", i, got[i].data, want[i])
		}
		if got[i].length != len(want[i]) {
			t.Fatalf("packet %d was %d bytes long, the file says %d", i, len(want[i]), got[i].length)
		}
	}
}

// filesAre fails unless the directory holds these files and no other.
func (b *bed) filesAre(names ...string) {
	b.Helper()
	entries, err := os.ReadDir(b.path)
	if err != nil {
		b.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	if len(found) != len(names) {
		b.Fatalf("the directory has %q, not %q", found, names)
	}
	for i := range names {
		if found[i] != names[i] {
			b.Fatalf("the directory has %q, not %q", found, names)
		}
	}
}
