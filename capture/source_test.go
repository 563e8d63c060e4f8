package capture_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/capturetest"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
)

// udpOnly keeps what the kernel itself sends on a new interface out of a test.
var udpOnly = []bpf.RawInstruction{
	{Op: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
	{Op: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: 0x800},
	{Op: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 23}, {Op: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: 17},
	{Op: unix.BPF_RET, K: 1}, {Op: unix.BPF_RET},
}

// frames puts frames on an interface.
func (b *bed) frames(name string, list [][]byte) {
	b.Helper()
	out := b.ns.Frames(b, name)
	for _, f := range list {
		if err := out.Send(f); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bed) interfaces(names ...string) (list []capture.Interface) {
	b.Helper()
	b.ns.Do(b, func() {
		var err error
		if list, err = afpacket.Resolve(names); err != nil {
			b.Fatal(err)
		}
	})
	return list
}

func TestLiveSource(t *testing.T) {
	b := newBed(t)
	capturetest.Source(t, func(t *testing.T, frames [][]byte) (source capture.Source, send func()) {
		taps := []capture.Tap{{Interface: b.interfaces("left")[0], Filter: udpOnly, SnapLength: capture.MaxSnapLength}}
		b.ns.Do(t, func() {
			var err error
			if source, err = (afpacket.Options{RingBytes: 4 << 20}).Open(taps); err != nil {
				t.Fatal(err)
			}
		})
		t.Cleanup(func() { source.Close() })
		return source, func() { b.frames("right", frames) }
	})
}

func TestLiveSourceThatOthersMayJoin(t *testing.T) {
	b := newBed(t)
	capturetest.Source(t, func(t *testing.T, frames [][]byte) (capture.Source, func()) {
		var live *capture.Live
		left := b.interfaces("left")
		b.ns.Do(t, func() {
			var err error
			live, err = capture.OpenLive(capture.LiveConfig{
				Interfaces: left,
				Present:    func() ([]capture.Interface, error) { return left, nil },
				Joins:      func(capture.Interface) bool { return true },
				Tap: func(i capture.Interface) (capture.Tap, error) {
					return capture.Tap{Interface: i, Filter: udpOnly, SnapLength: capture.MaxSnapLength}, nil
				},
				Open: afpacket.Options{RingBytes: 4 << 20, Follow: true}.Open,
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		t.Cleanup(func() { live.Close() })
		return live, func() { b.frames("right", frames) }
	})
}

func TestViewSource(t *testing.T) {
	b := newBed(t)
	capturetest.Source(t, func(t *testing.T, frames [][]byte) (capture.Source, func()) {
		job := b.job(t)
		view := job.Watch()
		t.Cleanup(func() { view.Close() })
		return view, func() { b.frames("right", frames) }
	})
}

// job captures UDP on left.
func (b *bed) job(t *testing.T) (job *capture.Job) {
	t.Helper()
	b.in(t.TempDir())
	b.ns.Do(t, func() {
		var err error
		job, err = capture.Start(capture.Config{
			Spec: spec("left"), Interfaces: b.interfaces("left"), Open: afpacket.Options{RingBytes: 4 << 20}.Open,
			Create: pcapfile.Create, Dir: b.dir, FileName: "test.pcap",
			Compile: func(capture.Interface) ([]bpf.RawInstruction, error) { return udpOnly, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		job.Stop(capture.Shutdown)
		<-job.Done()
	})
	return job
}

// A view without a reader costs the capture no packet, and counts exactly what it has not shown.
func TestSlowViewLosesLinesAndNoPackets(t *testing.T) {
	b := newBed(t)
	job := b.job(t)
	view := job.Watch()
	const sent = 5000
	b.frames("right", capturetest.Frames(sent))
	job.Stop(capture.StoppedByUser)
	<-job.Done()
	if s := job.Status(); s.PacketsWritten != sent || *s.PacketsDropped != 0 {
		t.Fatalf("the capture has %d packets and lost %d", s.PacketsWritten, *s.PacketsDropped)
	}
	batch := make([]capture.Packet, 100)
	shown := 0
	for {
		n, err := view.Read(batch, time.Time{})
		shown += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := view.Counters()[0]
	if shown == 0 || shown == sent || c.Received != uint64(shown) || c.Received+c.Dropped != sent {
		t.Errorf("%d were shown, %d counted as shown and %d as missed, of %d", shown, c.Received, c.Dropped, sent)
	}
	if n, err := job.Watch().Read(batch, time.Time{}); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("a view of a capture that has ended: %d packets, %v", n, err)
	}
}

func TestViewDoesNotAllocate(t *testing.T) {
	job := newBed(t).job(t)
	view := job.Watch()
	batch := make([]capture.Packet, 64)
	for i, f := range capturetest.Frames(len(batch)) {
		batch[i] = capture.Packet{Data: f, Length: uint32(len(f))}
	}
	into := make([]capture.Packet, 64)
	if n := testing.AllocsPerRun(100, func() {
		capture.ShowViews(job, batch)
		view.Read(into, time.Time{})
	}); n != 0 {
		t.Errorf("%v allocations for %d packets", n, len(batch))
	}
}

func TestReplaySource(t *testing.T) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		for _, parts := range []int{1, 3} {
			capturetest.Source(t, func(t *testing.T, frames [][]byte) (capture.Source, func()) {
				var files []replay.Opener
				for i := range parts {
					from, to := len(frames)*i/parts, len(frames)*(i+1)/parts
					files = append(files, fileOf(t, format, frames[from:to], from))
				}
				source, err := replay.Options{}.Open(files...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { source.Close() })
				return &numbered{source, parts}, func() {}
			})
		}
	}
}

// numbered gives the packets of several files, each with its own interface, the number that the
// suite wants.
type numbered struct {
	*replay.Source
	parts int
}

func (n *numbered) Read(batch []capture.Packet, until time.Time) (int, error) {
	got, err := n.Source.Read(batch, until)
	for i := range batch[:got] {
		if int(batch[i].Interface) < n.parts {
			batch[i].Interface = 0
		}
	}
	return got, err
}

func fileOf(t *testing.T, format capture.Format, frames [][]byte, first int) replay.Opener {
	t.Helper()
	var file bytes.Buffer
	h := capture.FileHeader{Format: format, Interfaces: []capture.Interface{{Name: "left", LinkType: capture.Ethernet}},
		SnapLength: capture.MaxSnapLength}
	stream, err := pcapfile.NewStream(&file, h)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if err := stream.Write([]capture.Packet{{Time: int64(first+i+1) * 1e9, Data: f,
			Length: uint32(len(f))}}); err != nil {
			t.Fatal(err)
		}
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil }
}

func TestReplayChooses(t *testing.T) {
	frames := capturetest.Frames(100)
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	for _, c := range []struct {
		name    string
		options replay.Options
		want    int
	}{
		{"all", replay.Options{}, 100},
		{"from the 51st", replay.Options{From: at(51)}, 50},
		{"to the 10th, without it", replay.Options{To: at(10)}, 9},
		{"between", replay.Options{From: at(10), To: at(20)}, 10},
		{"short ones", replay.Options{Match: func(p *capture.Packet, i capture.Interface) bool { return i.Name == "left" && len(p.Data) < 200 }}, 12},
		{"none", replay.Options{From: at(1000)}, 0},
	} {
		source, err := c.options.Open(fileOf(t, capture.PCAPNG, frames, 0))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		batch := make([]capture.Packet, 16)
		for err == nil {
			var n int
			n, err = source.Read(batch, time.Time{})
			got += n
		}
		if got != c.want || !errors.Is(err, io.EOF) || source.Torn() != nil {
			t.Errorf("%s: %d packets, not %d; %v, %v", c.name, got, c.want, err, source.Torn())
		}
	}
}

// A file that is torn gives what it has, and says so; the next file is read.
func TestReplayOfTornFiles(t *testing.T) {
	frames := capturetest.Frames(10)
	whole := fileOf(t, capture.PCAP, frames, 0)
	torn := func() (io.ReadCloser, error) {
		r, _ := whole()
		content, _ := io.ReadAll(r)
		return io.NopCloser(bytes.NewReader(content[:len(content)-1])), nil
	}
	source, err := replay.Options{}.Open(torn, whole)
	if err != nil {
		t.Fatal(err)
	}
	n, err := source.Read(make([]capture.Packet, 100), time.Time{})
	if n != 19 || err != nil || !errors.Is(source.Torn(), io.ErrUnexpectedEOF) {
		t.Errorf("%d packets, %v, %v", n, err, source.Torn())
	}
}
