package capture

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
)

// Config is a Spec with all that the appliance adds to it. Unless its comment says otherwise, a
// function is called on the goroutine of the capture.
type Config struct {
	Spec            Spec
	Owner           string
	EffectiveFilter string // the expression that Compile compiles

	// Interfaces are those that Spec.Interfaces name. Present returns all that the machine has at
	// the moment: which of them join follows from the Spec, and those of the capture may have other
	// names by then. It is called on any goroutine; nil if no interface joins or changes its name.
	Interfaces []Interface
	Present    func() ([]Interface, error)

	// Compile returns the filter program for an interface. It is called on any goroutine; nil takes
	// every packet.
	Compile func(Interface) ([]bpf.RawInstruction, error)

	// Open begins to take packets from the taps.
	Open func([]Tap) (Source, error)

	// Create begins a file; one that exists is an error. Append opens a file of before to continue
	// it; it may be nil unless the mode is Append. Release is called once, when all files are
	// closed or the capture has not started; it may be nil.
	Create  func(dir *os.Root, name string, h FileHeader) (File, error)
	Append  func(dir *os.Root, name string, h FileHeader, before FileInfo) (File, error)
	Release func()

	// Prepare gives the calling thread its priority and the CPUs of Spec.CPUs. The thread does
	// nothing but move packets and ends with the capture. It may be nil.
	Prepare func() error

	// Dir is the directory of the files. A file is written under the PartName of its name and gets
	// its name when it is finished. FileName is the name of the only file; several have the
	// NumberedNames of it.
	Dir      *os.Root
	FileName string

	// Before is the status of the capture that this one resumes, nil if it is new: its counters and
	// files continue from it. NextFile is the number of the first file to write then.
	Before   *Status
	NextFile int

	// Allowance returns an error, such as a *QuotaError, when all captures together may write no
	// more; nil means no quota.
	Allowance func() error

	// OnClose is called when a file has its final name, before an older one is deleted for it.
	// Retain reports whether a file has to stay for now; when that changes, call Prune. OnRotate is
	// called after each finished file of a capture with several. The finisher's goroutine calls
	// them, and Retain with a lock held that Status needs. Each may be nil.
	OnClose  func(FileInfo)
	Retain   func(name string) bool
	OnRotate func()

	// Machine, System, Application and Comments are for the FileHeader.
	Machine, System, Application string
	Comments                     []string
}

// Job is a capture that runs, or has ended. Any goroutine may call its methods at any time.
type Job struct {
	config   Config
	format   Format
	start    time.Time
	source   Source
	finisher finisher

	// These belong to the goroutine that moves packets.
	file          File
	name          string     // final name of file
	next          int        // number of the file after it
	most          int64      // bytes that file may grow to, or Unlimited
	final         bool       // most is what the limit of the whole capture leaves
	begun         time.Time  // when file was begun
	base          []Counters // the source's when file was begun
	seenBefore    *uint64    // PacketsSeen of the capture that is resumed; nil if unknown
	droppedBefore *uint64    // PacketsDropped of it; nil if unknown
	interfaces    roster
	lookout       lookout
	known         atomic.Pointer[[]Interface] // interfaces.all for other goroutines
	packets       int64                       // written, with those of the capture that is resumed
	closed        int64                       // bytes of the files before file
	stride        int64                       // the most bytes between two checks of the disk
	began         int64                       // number of files begun
	tally         *Tally                      // nil if there are no filters in fields
	matched       [batchSize]uint64           // by the packets of the present batch: what tally says

	asked atomic.Pointer[StopReason] // by Stop
	done  chan struct{}
	views views

	mutex  sync.Mutex // guards what follows
	status Status     // without what the method Status adds
	reason StopReason // empty until the capture has ended
	end    time.Time
	err    error
	behind bool // a limit ended it, with packets in the ring

	counts  Counts // of file
	removed Counts // of the files that are deleted
}

// Start begins a capture. Every packet that matches the filter after it returns is captured. If it
// fails, it leaves nothing behind.
//
// The error is a *SpecError, *FileExistsError, *DiskLowError, or what Compile, Open, Create, Append
// or Allowance returned.
func Start(c Config) (*Job, error) {
	j, err := start(c)
	if err != nil && c.Release != nil {
		c.Release()
	}
	return j, err
}

func start(c Config) (*Job, error) {
	if err := c.Spec.Check(); err != nil {
		return nil, err
	}
	if len(c.Interfaces) == 0 {
		return nil, &SpecError{Member: "interfaces", Text: "there is no interface to capture"}
	}
	if strings.ContainsRune(c.FileName, '/') || strings.HasPrefix(c.FileName, ".") || c.FileName == "" {
		return nil, fmt.Errorf("%q cannot be the name of a capture file", c.FileName)
	}
	taps := make([]Tap, len(c.Interfaces))
	for i, in := range c.Interfaces {
		var err error
		if taps[i], err = c.tap(in); err != nil {
			return nil, err
		}
	}
	j := newJob(c)
	appends := c.Spec.Mode == Append && len(j.status.Files) > 0
	begin := j.create
	if appends {
		begin = j.append
	}
	if err := begin(); err != nil {
		return nil, err
	}
	prepared, opened := make(chan struct{}), make(chan error, 1)
	go j.run(prepared, opened)
	<-prepared // so that there is a reader before the first packet
	err := j.checkDisk()
	if err == nil {
		j.source, err = c.Open(taps)
	}
	if c.Before == nil {
		j.start = time.Now() // a limit of time counts from when packets are taken
	}
	if err != nil {
		opened <- err
		j.file.Close(nil)
		if appends {
			c.Dir.Rename(PartName(j.name), j.name)
		} else {
			c.Dir.Remove(PartName(j.name))
		}
		return nil, err
	}
	j.finisher.start(j)
	opened <- nil
	return j, nil
}

// newJob returns the job of a checked configuration, without a file and a source.
func newJob(c Config) *Job {
	c.Spec.Format = c.Spec.FileFormat(len(c.Interfaces))
	j := &Job{
		config:     c,
		format:     c.Spec.Format,
		start:      time.Now(),
		next:       max(c.NextFile, 1),
		interfaces: newRoster(c.Spec.Format, c.Interfaces),
		stride:     diskStride,
		base:       make([]Counters, len(c.Interfaces)),
		done:       make(chan struct{}),

		seenBefore:    new(uint64),
		droppedBefore: new(uint64),
	}
	if n := len(c.Spec.Filters); n > 0 {
		j.tally, j.removed = NewTally(c.Spec.Filters), make(Counts, n)
	}
	for _, in := range c.Interfaces {
		j.tally.Prepare(in.LinkType)
	}
	j.lookout = lookout{present: c.Present, joins: c.Spec.joins, tap: func(in Interface) (Tap, error) {
		j.tally.Prepare(in.LinkType)
		return c.tap(in)
	}}
	for i := range j.base {
		j.base[i].SeenKnown = true // and 0
	}
	j.known.Store(&c.Interfaces)
	j.status = c.Spec.Status()
	j.status.Interfaces = j.interfaces.names()
	if before := c.Before; before != nil {
		j.resume(*before)
	}
	return j
}

// resume takes over the counters and files of the capture that is resumed. Its limits of time and
// packets continue too. If before has no StartTime, a user started the capture again, and these
// limits count from now.
func (j *Job) resume(before Status) {
	s := &j.status
	j.packets = int64(before.PacketsWritten)
	if anew := before.StartTime.IsZero(); !anew {
		j.start = before.StartTime
	} else if last := len(before.Files) - 1; last >= 0 {
		j.packets = before.Files[last].Packets // which append subtracts
	}
	j.closed = before.BytesWritten
	s.Files = slices.Clone(before.Files)
	j.resumeCounts(before)
	s.PacketsReceived = before.PacketsReceived
	j.seenBefore, j.droppedBefore, s.PacketsNotShown = before.PacketsSeen, before.PacketsDropped, before.PacketsNotShown
	s.FilesRemoved, s.PacketsRemoved, s.BytesRemoved = before.FilesRemoved, before.PacketsRemoved, before.BytesRemoved
	s.PacketsDiscarded, s.PacketsBehindLimit = before.PacketsDiscarded, before.PacketsBehindLimit
	j.began = before.FilesRemoved + int64(len(before.Files))
}

// resumeCounts takes over what the filters in fields matched, unless the capture has others now.
func (j *Job) resumeCounts(before Status) {
	n := len(j.config.Spec.Filters)
	if n > 0 && slices.Equal(j.config.Spec.Filters, before.Filters) {
		j.removed = before.RemovedCounts()
		return
	}
	for i := range j.status.Files {
		f := &j.status.Files[i]
		f.FilterPackets, f.UncountedPackets = nil, 0
		if n > 0 {
			f.FilterPackets, f.UncountedPackets = make(Counts, n), f.Packets
		}
	}
}

// snapLength returns how many bytes of a packet are kept, 1 to MaxSnapLength.
func (s Spec) snapLength() int {
	if s.SnapLength == 0 {
		return MaxSnapLength
	}
	return s.SnapLength
}

// Stop asks the capture to end, for StoppedByUser or Shutdown. Packets that came before the call
// are still written. It does not wait, see Done. Only the first call counts.
func (j *Job) Stop(reason StopReason) {
	if j.asked.CompareAndSwap(nil, &reason) {
		j.source.Wake()
	}
}

// Prune deletes the oldest files that Config.Retain no longer holds. It does not wait for that.
func (j *Job) Prune() {
	select {
	case j.finisher.freed <- struct{}{}:
	default: // a call before is not served yet and serves this one too
	}
}

// Done returns a channel that is closed when the capture has ended and its files have their names.
func (j *Job) Done() <-chan struct{} { return j.done }

// run is the goroutine that moves packets. It closes prepared when its thread is prepared. Then it
// waits for opened: nil when the source is open, else why the capture does not begin.
func (j *Job) run(prepared chan<- struct{}, opened <-chan error) {
	var reason StopReason
	var err error
	if j.config.Prepare != nil {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		err = j.config.Prepare()
	}
	close(prepared)
	if <-opened != nil {
		return // the capture has not begun
	}
	defer close(j.done)
	defer j.views.end()
	if j.config.Release != nil {
		defer j.config.Release()
	}
	if err == nil {
		reason, err = j.move()
	} else {
		reason, err = failure(err)
	}
	j.source.Close()
	j.enqueue(j.file, j.name)
	if kept := j.finisher.end(); kept != nil && err == nil {
		reason, err = failure(kept)
	}

	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.reason, j.end, j.err = reason, time.Now(), err
	j.behind = err == nil && (reason == PacketCountReached || reason == SizeExceeded || reason == FileCountReached)
}
