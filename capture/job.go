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

// Config is a Spec with all that the appliance adds to it.
type Config struct {
	Spec            Spec
	Owner           string
	EffectiveFilter string // what Compile compiles, as an expression

	// Interfaces are those that Spec.Interfaces stand for. Present lists all that the machine
	// has at the moment, for the Spec to say which of them join, and for the names of those
	// that are in it; nil if neither matters.
	Interfaces []Interface
	Present    func() ([]Interface, error)

	// Compile makes the filter program for an interface; nil takes every packet.
	Compile func(Interface) ([]bpf.RawInstruction, error)

	// Open begins to take packets.
	Open func([]Tap) (Source, error)

	// Create begins a file, which must not be there yet. Append goes on in one; it may
	// be nil unless the mode is Append. Release, which may be nil, is called when all
	// files are closed.
	Create  func(dir *os.Root, name string, h FileHeader) (File, error)
	Append  func(dir *os.Root, name string, h FileHeader, before FileInfo) (File, error)
	Release func()

	// Prepare makes the calling thread, which does nothing but move packets, one that
	// the kernel runs soon, and where Spec.CPUs says; it may be nil.
	Prepare func() error

	// Dir is where files are written, each as PartName of its name, and get their names
	// when they are finished. FileName is that of the only file, or NumberedName of it
	// those of several.
	Dir      *os.Root
	FileName string

	// Before is the capture as it was, when this one goes on with it: its counters and
	// files are counted on. NextFile is the number of the first file to write then.
	Before   *Status
	NextFile int

	// Allowance is how much more all captures may write together, an error of its own
	// kind when that is nothing; nil is no quota.
	Allowance func() error

	// OnClose is called when a file has its name and gets no more packets, before an older one is
	// deleted for it. Retain reports whether a file has to stay for now; when that changes, call
	// Prune. OnRotate is called when a file is finished and another one goes on. Each may be nil.
	OnClose  func(FileInfo)
	Retain   func(name string) bool
	OnRotate func()

	// Machine, System, Application and Comments are for the FileHeader.
	Machine, System, Application string
	Comments                     []string
}

// Job is a capture that runs, or has ended. Its methods may be called by anyone at
// any time.
type Job struct {
	config   Config
	format   Format
	start    time.Time
	source   Source
	finisher finisher

	// Of the goroutine that moves packets.
	file          File
	name          string     // that the file gets
	next          int        // number of the file after it
	most          int64      // bytes that it may get
	final         bool       // with them, all files together have theirs
	begun         time.Time  // when the file was
	base          []Counters // when the file was begun
	seenBefore    *uint64    // packets on the wire while it was what it goes on with; nil if unknown
	droppedBefore *uint64    // likewise
	interfaces    roster
	lookout       lookout
	known         atomic.Pointer[[]Interface] // the same, for others
	packets       int64                       // of all files, and of the time before
	closed        int64                       // bytes of files before this one
	stride        int64                       // the most that passes between two looks at the disk
	began         int64                       // how many files

	asked atomic.Pointer[StopReason] // by Stop
	done  chan struct{}
	views views

	mutex  sync.Mutex // guards what follows
	status Status     // but for what Status adds
	reason StopReason // when it has ended
	end    time.Time
	err    error
	behind bool // it ended with packets in the ring
}

// Start begins a capture: when it returns, every packet that the filter wants is kept.
// When it fails nothing is left behind.
//
// The error is a *SpecError, *FileExistsError, *DiskLowError, or what Compile, Open,
// Create, Append or Allowance returned.
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
	<-prepared // from the first packet on there is a reader
	err := j.checkDisk()
	if err == nil {
		j.source, err = c.Open(taps)
	}
	if c.Before == nil {
		j.start = time.Now() // its time begins when packets are taken, not while it is made ready
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

// newJob returns the job of a configuration that was checked. It has no file and no source yet.
func newJob(c Config) *Job {
	c.Spec.Format = c.Spec.FileFormat(len(c.Interfaces))
	j := &Job{
		config:     c,
		format:     c.Spec.Format,
		start:      time.Now(),
		next:       max(c.NextFile, 1),
		interfaces: newRoster(c.Spec.Format, c.Interfaces),
		lookout:    lookout{present: c.Present, joins: c.Spec.joins, tap: c.tap},
		stride:     diskStride,
		base:       make([]Counters, len(c.Interfaces)),
		done:       make(chan struct{}),

		seenBefore:    new(uint64),
		droppedBefore: new(uint64),
	}
	for i := range j.base {
		j.base[i].SeenKnown = true // nothing yet
	}
	j.known.Store(&c.Interfaces)
	j.status = c.Spec.Status()
	j.status.Interfaces = j.interfaces.names()
	if before := c.Before; before != nil {
		j.goOn(*before)
	}
	return j
}

// goOn takes over what a capture was before. Its limits of time and packets go on too, unless
// before has no StartTime: then somebody started it anew, and they count from now.
func (j *Job) goOn(before Status) {
	s := &j.status
	j.packets = int64(before.PacketsWritten)
	if anew := before.StartTime.IsZero(); !anew {
		j.start = before.StartTime
	} else if last := len(before.Files) - 1; last >= 0 {
		j.packets = before.Files[last].Packets // which append takes off
	}
	j.closed = before.BytesWritten
	s.Files = slices.Clone(before.Files)
	s.PacketsReceived = before.PacketsReceived
	j.seenBefore, j.droppedBefore, s.PacketsNotShown = before.PacketsSeen, before.PacketsDropped, before.PacketsNotShown
	s.FilesRemoved, s.PacketsRemoved, s.BytesRemoved = before.FilesRemoved, before.PacketsRemoved, before.BytesRemoved
	s.PacketsDiscarded, s.PacketsBehindLimit = before.PacketsDiscarded, before.PacketsBehindLimit
	j.began = before.FilesRemoved + int64(len(before.Files))
}

func (s Spec) snapLength() int {
	if s.SnapLength == 0 {
		return MaxSnapLength
	}
	return s.SnapLength
}

// Stop asks the capture to end, for StoppedByUser or Shutdown. Packets that came
// before it are still written. It does not wait, see Done; only the first call counts.
func (j *Job) Stop(reason StopReason) {
	if j.asked.CompareAndSwap(nil, &reason) {
		j.source.Wake()
	}
}

// Prune deletes the files that are more than are kept, and are held no more.
func (j *Job) Prune() {
	select {
	case j.finisher.freed <- struct{}{}:
	default: // it is about to look anyhow
	}
}

// Done is closed when the capture has ended and its files have their names.
func (j *Job) Done() <-chan struct{} { return j.done }

// run is the goroutine that moves packets. It says when its thread is prepared, and waits to hear
// of the source.
func (j *Job) run(prepared chan<- struct{}, opened <-chan error) {
	var reason StopReason
	var err error
	if j.config.Prepare != nil {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
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
