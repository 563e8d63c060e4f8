package capture_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"

	"golang.org/x/net/bpf"
)

// The job without a network: its ends, errors and texts.

// A fakeSource returns packets, one batch for each call, or an error.
type fakeSource struct {
	idle    bool // it has no packets
	unknown bool // the packets on the wire of one of its interfaces are unknown
	err     error
	wake    chan bool
	ended   bool
	closed  bool

	finished time.Time
}

func newFakeSource() *fakeSource { return &fakeSource{wake: make(chan bool, 1)} }

func (s *fakeSource) Read(batch []capture.Packet, until time.Time) (int, error) {
	switch {
	case s.ended:
		return 0, io.EOF
	case s.err != nil:
		return 0, s.err
	case s.idle:
		var timeout <-chan time.Time
		if !until.IsZero() {
			timeout = time.After(time.Until(until))
		}
		select {
		case <-s.wake:
		case <-timeout:
		}
		return 0, nil
	}
	for i := range batch {
		batch[i] = capture.Packet{Time: time.Now().UnixNano(), Data: make([]byte, 100), Length: 100}
	}
	return len(batch), nil
}

func (s *fakeSource) Finish() error { s.ended, s.finished = true, time.Now(); return nil }

func (s *fakeSource) Wake() {
	select {
	case s.wake <- true:
	default:
	}
}

func (s *fakeSource) Counters() []capture.Counters {
	return []capture.Counters{{Received: 10, Dropped: 1, SeenKnown: true},
		{Received: 20, Dropped: 2, SeenKnown: !s.unknown}}
}

func (s *fakeSource) Close() error { s.closed = true; return nil }

// A failingFile is a capture file that fails as it is told.
type failingFile struct {
	capture.File
	write, flush, close error
}

func (f *failingFile) Write(batch []capture.Packet) (int, error) {
	if f.write != nil {
		return 0, f.write
	}
	return f.File.Write(batch)
}

func (f *failingFile) Flush() (bool, error) {
	if f.flush != nil {
		return false, f.flush
	}
	return f.File.Flush()
}

func (f *failingFile) Close(c []capture.Counters) (capture.FileInfo, error) {
	info, err := f.File.Close(c)
	return info, errors.Join(err, f.close)
}

// fakeConfig returns a capture of a fake source into a real directory.
func fakeConfig(t *testing.T, source *fakeSource) capture.Config {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return capture.Config{
		Spec:  spec("eth0", "eth1"),
		Owner: "anna",
		Interfaces: []capture.Interface{{Name: "eth0", LinkType: capture.Ethernet},
			{Name: "eth1", LinkType: capture.Ethernet}},
		Open:     func([]capture.Tap) (capture.Source, error) { return source, nil },
		Create:   pcapfile.Create,
		Dir:      dir,
		FileName: "file.pcapng",
	}
}

func run(t *testing.T, c capture.Config) capture.Status {
	t.Helper()
	job, err := capture.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-job.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the capture does not end")
	}
	return job.Status()
}

func TestEndsOfAJob(t *testing.T) {
	t.Parallel()
	gone := &capture.InterfaceGoneError{Name: "eth0", Left: 1}
	for _, test := range []struct {
		name   string
		change func(*fakeSource, *capture.Config)
		file   failingFile
		reason capture.StopReason
		text   string
	}{
		{name: "packets", reason: capture.PacketCountReached,
			change: func(_ *fakeSource, c *capture.Config) { c.Spec.Limits.Packets = 1000 }},
		{name: "size", reason: capture.SizeExceeded,
			change: func(_ *fakeSource, c *capture.Config) { c.Spec.Limits.SizeBytes = 100_000 }},
		{name: "time", reason: capture.TimeExceeded,
			change: func(s *fakeSource, c *capture.Config) { s.idle, c.Spec.Limits.DurationSeconds = true, 1 }},
		{name: "one interface of two gone", reason: capture.InterfaceGone,
			change: func(s *fakeSource, _ *capture.Config) { s.err = gone }},
		{name: "the source ends", reason: capture.InterfaceGone,
			change: func(s *fakeSource, _ *capture.Config) { s.err = io.EOF }},
		{name: "the source fails", reason: capture.FileError, text: "reading packets or writing the file failed",
			change: func(s *fakeSource, _ *capture.Config) { s.err = errors.New("no answer") }},
		{name: "a write fails", reason: capture.FileError, text: "the disk reports an error",
			file: failingFile{write: syscall.EIO}},
		{name: "the disk is full", reason: capture.DiskLow, text: "the disk is full",
			file: failingFile{write: syscall.ENOSPC}},
		{name: "the quota is full", reason: capture.DiskLow, text: "the disk is full",
			file: failingFile{write: syscall.EDQUOT}},
		{name: "the disk is full at the end", reason: capture.DiskLow, text: "the disk is full",
			change: func(_ *fakeSource, c *capture.Config) { c.Spec.Limits.Packets = 10 },
			file:   failingFile{close: syscall.ENOSPC}},
		{name: "the flush fails", reason: capture.FileError, text: "the disk reports an error",
			file: failingFile{flush: syscall.EIO}},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := newFakeSource()
			c := fakeConfig(t, source)
			c.Create = func(dir *os.Root, name string, h capture.FileHeader) (capture.File, error) {
				f, err := pcapfile.Create(dir, name, h)
				test.file.File = f
				return &test.file, err
			}
			if test.change != nil {
				test.change(source, &c)
			}
			status := run(t, c)
			state := capture.Stopped
			if test.reason == capture.FileError {
				state = capture.Error
			}
			if status.StopReason != test.reason || status.State != state || status.Error != test.text {
				t.Errorf("status is %+v", status)
			}
			if !source.closed {
				t.Error("the source is open")
			}
			if _, err := c.Dir.Lstat("file.pcapng"); err != nil {
				t.Errorf("the file: %v", err)
			}
			if _, err := c.Dir.Lstat(".file.pcapng.part"); err == nil {
				t.Error("the unfinished file is there")
			}
		})
	}
}

func TestStopIsCountedOnce(t *testing.T) {
	source := newFakeSource()
	source.idle = true
	job, err := capture.Start(fakeConfig(t, source))
	if err != nil {
		t.Fatal(err)
	}
	job.Stop(capture.Shutdown)
	job.Stop(capture.StoppedByUser)
	<-job.Done()
	if reason := job.Status().StopReason; reason != capture.Shutdown {
		t.Errorf("the reason is %s", reason)
	}
}

// The time limit of a capture counts from when it takes packets, however long the start takes.
func TestDurationIsOfTakingPackets(t *testing.T) {
	t.Parallel()
	source := newFakeSource()
	source.idle = true
	c := fakeConfig(t, source)
	c.Spec.Limits.DurationSeconds = 1
	var opened time.Time
	c.Open = func([]capture.Tap) (capture.Source, error) {
		<-time.After(300 * time.Millisecond) // as where many rings are opened on a busy machine
		opened = time.Now()
		return source, nil
	}
	status := run(t, c)
	if took := source.finished.Sub(opened); status.StopReason != capture.TimeExceeded || took < time.Second ||
		status.StartTime.Before(opened) {
		t.Errorf("it took packets for %v from %v: %+v", took, opened, status)
	}
}

func TestAJobThatDoesNotStartLeavesNothing(t *testing.T) {
	no := errors.New("no")
	for name, change := range map[string]func(*capture.Config){
		"spec":   func(c *capture.Config) { c.Spec.Limits.SizeBytes = 0 },
		"name":   func(c *capture.Config) { c.FileName = "../file" },
		"hidden": func(c *capture.Config) { c.FileName = ".file" },
		"none":   func(c *capture.Config) { c.Interfaces = nil },
		"size":   func(c *capture.Config) { c.Spec.Limits.SizeBytes = 10 },
		"disk":   func(c *capture.Config) { c.Spec.ReserveBytes = 1 << 62 },
		"compile": func(c *capture.Config) {
			c.Compile = func(capture.Interface) ([]bpf.RawInstruction, error) { return nil, no }
		},
		"open": func(c *capture.Config) { c.Open = func([]capture.Tap) (capture.Source, error) { return nil, no } },
	} {
		c := fakeConfig(t, newFakeSource())
		change(&c)
		if _, err := capture.Start(c); err == nil {
			t.Errorf("%s: it starts", name)
		}
		if entries, _ := os.ReadDir(c.Dir.Name()); len(entries) != 0 {
			t.Errorf("%s: left behind: %v", name, entries)
		}
	}
	c := fakeConfig(t, newFakeSource())
	if err := c.Dir.WriteFile("file.pcapng", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var exists *capture.FileExistsError
	if _, err := capture.Start(c); !errors.As(err, &exists) || exists.Name != "file.pcapng" {
		t.Errorf("a file that exists: %v", err)
	}
}

func TestStatusWhileRunningAndAfter(t *testing.T) {
	source := newFakeSource()
	source.idle = true
	c := fakeConfig(t, source)
	c.Spec.Filter, c.EffectiveFilter = "port 25", "(port 25) and not port 22"
	job, err := capture.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	status := job.Status()
	if status.State != capture.Running || status.StopReason != "" || status.PacketsReceived != 30 ||
		*status.PacketsDropped != 3 ||
		status.Owner != "anna" || status.Format != capture.PCAPNG || status.Files[0].Name != "file.pcapng" || !status.EndTime.IsZero() {
		t.Errorf("running: %+v", status)
	}
	job.Stop(capture.StoppedByUser)
	<-job.Done()

	b, err := json.Marshal(job.Status())
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(b, &members); err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(`name state stopReason interfaces onInterfaceGone filter filters process effectiveFilter direction promiscuous
		snapLength headersOnly format timePrecision mode limits rotation persistent drops processes scenario report protect comment caseNumber ringBytes rings cpus management
		startTime endTime owner files packetsMatched packetsReceived packetsWritten packetsDropped packetsDiscarded
		packetsBehindLimit packetsSeen packetsNotShown filesRemoved packetsRemoved bytesRemoved filesAwaitingExport bytesWritten error`) {
		if _, ok := members[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(members, name)
	}
	if len(members) != 0 {
		t.Errorf("unknown members: %v", members)
	}
}

func TestSpecCheck(t *testing.T) {
	for _, test := range []struct {
		member string
		change func(*capture.Spec)
	}{
		{"", func(*capture.Spec) {}},
		{"", func(s *capture.Spec) { s.Interfaces = []string{"all"} }},
		{"", func(s *capture.Spec) {
			s.Limits = capture.Limits{SizeBytes: capture.Unlimited, DurationSeconds: capture.Unlimited,
				Packets: capture.Unlimited}
		}},
		{"interfaces", func(s *capture.Spec) { s.Interfaces = nil }},
		{"interfaces", func(s *capture.Spec) { s.Interfaces = []string{"eth0", "ALL"} }},
		{"interfaces", func(s *capture.Spec) { s.Interfaces = []string{"eth0", "eth0"} }},
		{"snapLength", func(s *capture.Spec) { s.SnapLength = -1 }},
		{"snapLength", func(s *capture.Spec) { s.SnapLength = capture.MaxSnapLength + 1 }},
		{"format", func(s *capture.Spec) { s.Format = "erf" }},
		{"sizeBytes", func(s *capture.Spec) { s.Limits.SizeBytes = 0 }},
		{"sizeBytes", func(s *capture.Spec) { s.Limits.SizeBytes = -2 }},
		{"durationSeconds", func(s *capture.Spec) { s.Limits.DurationSeconds = 1 << 60 }},
		{"packets", func(s *capture.Spec) { s.Limits.Packets = -2 }},
		{"reserveBytes", func(s *capture.Spec) { s.ReserveBytes = -1 }},
	} {
		s := spec("eth0")
		test.change(&s)
		var wrong *capture.SpecError
		switch err := s.Check(); {
		case test.member == "" && err != nil:
			t.Errorf("%+v: %v", s, err)
		case test.member != "" && (!errors.As(err, &wrong) || wrong.Member != test.member):
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestPartName(t *testing.T) {
	if final, ok := capture.FinalName(capture.PartName("a.pcap")); !ok || final != "a.pcap" {
		t.Errorf("%q, %v", final, ok)
	}
	for _, name := range []string{"a.pcap", ".a.pcap", "a.pcap.part", "..part", ""} {
		if final, ok := capture.FinalName(name); ok {
			t.Errorf("%q is taken for the unfinished %q", name, final)
		}
	}
}

func TestEveryStopReasonHasASentence(t *testing.T) {
	for _, r := range []capture.StopReason{
		capture.StoppedByUser, capture.TimeExceeded, capture.SizeExceeded, capture.PacketCountReached,
		capture.FileCountReached,
		capture.DiskLow, capture.InterfaceGone, capture.FileError, capture.Interrupted, capture.Shutdown,
		capture.StartFailed,
	} {
		if text := r.Text(); !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q", r, text)
		}
	}
}

// A joinedSource is a source that two interfaces join at once.
type joinedSource struct {
	*fakeSource
	changes, joined int
}

func (s *joinedSource) Read(batch []capture.Packet, until time.Time) (int, error) {
	switch {
	case s.changes > 0:
		s.changes--
		return 0, capture.ErrInterfacesChanged
	case s.joined > 0:
		return 0, io.EOF
	}
	return s.fakeSource.Read(batch, until)
}

func (s *joinedSource) Beside(work func())            { work(); s.changes++ }
func (s *joinedSource) Rename(int, capture.Interface) {}
func (s *joinedSource) Drop(int)                      {}
func (s *joinedSource) Add(taps []capture.Tap) (e []error) {
	s.joined += len(taps)
	return make([]error, len(taps))
}

func (s *joinedSource) Counters() []capture.Counters {
	return append(s.fakeSource.Counters(), make([]capture.Counters, s.joined)...)
}

// A narrowFile has no room for another interface.
type narrowFile struct{ capture.File }

func (narrowFile) AddInterface(capture.Interface) error { return capture.ErrSizeLimit }

// The next file begins with the first of several interfaces that join at once, when the file before
// it has no room for them.
func TestInterfacesJoinAFileThatIsFull(t *testing.T) {
	source := &joinedSource{fakeSource: newFakeSource(), changes: 1}
	source.idle = true
	c := fakeConfig(t, source.fakeSource)
	c.Open = func([]capture.Tap) (capture.Source, error) { return source, nil }
	c.Spec.Interfaces, c.Spec.Mode, c.Spec.Rotation = []string{capture.All}, capture.Ring,
		capture.Rotation{FileBytes: 1 << 20}
	c.Present = func() ([]capture.Interface, error) {
		return []capture.Interface{{Name: "eth2", Index: 2, LinkType: capture.Ethernet},
			{Name: "eth3", Index: 3, LinkType: capture.Ethernet}}, nil
	}
	narrow := true
	c.Create = func(dir *os.Root, name string, h capture.FileHeader) (capture.File, error) {
		f, err := pcapfile.Create(dir, name, h)
		if narrow {
			f, narrow = narrowFile{f}, false
		}
		return f, err
	}
	status := run(t, c)
	if status.Error != "" || len(status.Files) != 2 || strings.Join(status.Interfaces, " ") != "eth0 eth1 eth2 eth3" {
		t.Errorf("it ended as %+v", status)
	}
}
