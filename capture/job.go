package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
)

// Config is a Spec with all that the appliance adds to it.
type Config struct {
	Spec            Spec
	Owner           string
	EffectiveFilter string // what Compile compiles, as an expression

	// Interfaces are those that Spec.Interfaces stand for. Present lists those of them that
	// there are at the moment; nil if none may join.
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

	// Closed is called when a file has its name and gets no more packets, before an older
	// one is deleted for it. Held tells of a file whether it has to stay for now; when that
	// changes, call Prune. Turned is called when a file is finished and another one goes
	// on. Each may be nil.
	Closed func(FileInfo)
	Held   func(name string) bool
	Turned func()

	// Machine, System, Application and Comments are for the FileHeader.
	Machine, System, Application string
	Comments                     []string
}

// Job is a capture that runs, or has ended. Its methods may be called by anyone at
// any time.
type Job struct {
	config Config
	format Format
	start  time.Time
	source Source
	keeper keeper

	// Of the goroutine that moves packets.
	file       File
	name       string     // that the file gets
	next       int        // number of the file after it
	most       int64      // bytes that it may get
	final      bool       // with them, all files together have theirs
	begun      time.Time  // when the file was
	base       []Counters // when the file was begun
	interfaces []Interface
	known      atomic.Pointer[[]Interface] // the same, for others
	gone       map[int]bool                // indices of interfaces that were removed
	packets    int64                       // of all files, and of the time before
	closed     int64                       // bytes of files before this one
	began      int64                       // how many files

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
		return nil, &SpecError{"interfaces", "there is no interface to capture"}
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
	j := &Job{
		config:     c,
		format:     c.Spec.FileFormat(len(c.Interfaces)),
		start:      time.Now(),
		next:       max(c.NextFile, 1),
		interfaces: slices.Clone(c.Interfaces),
		base:       make([]Counters, len(c.Interfaces)),
		gone:       make(map[int]bool),
		done:       make(chan struct{}),
	}
	j.known.Store(&c.Interfaces)
	j.status = c.Spec.Status()
	j.status.Interfaces = nil
	for _, i := range c.Interfaces {
		j.status.Interfaces = append(j.status.Interfaces, i.Name)
	}
	if before := c.Before; before != nil {
		j.goOn(*before)
	}
	appends := c.Spec.Mode == Append && len(j.status.Files) > 0
	begin := j.create
	if appends {
		begin = j.append
	}
	if err := begin(); err != nil {
		return nil, err
	}
	err := j.checkDisk()
	if err == nil {
		j.source, err = c.Open(taps)
	}
	if err != nil {
		j.file.Close(nil)
		if appends {
			c.Dir.Rename(PartName(j.name), j.name)
		} else {
			c.Dir.Remove(PartName(j.name))
		}
		return nil, err
	}
	j.keeper.start(j)
	go j.run()
	return j, nil
}

// goOn takes over what a capture was before.
func (j *Job) goOn(before Status) {
	s := &j.status
	j.start = before.StartTime
	j.packets = int64(before.PacketsWritten)
	j.closed = before.BytesWritten
	s.Files = slices.Clone(before.Files)
	s.PacketsReceived, s.PacketsDropped = before.PacketsReceived, before.PacketsDropped
	s.PacketsSeen, s.PacketsNotShown = before.PacketsSeen, before.PacketsNotShown
	s.FilesRemoved, s.PacketsRemoved, s.BytesRemoved = before.FilesRemoved, before.PacketsRemoved, before.BytesRemoved
	s.PacketsDiscarded, s.PacketsBehindLimit = before.PacketsDiscarded, before.PacketsBehindLimit
	j.began = before.FilesRemoved + int64(len(before.Files))
}

func (c Config) tap(in Interface) (Tap, error) {
	t := Tap{Interface: in, SnapLength: c.Spec.snapLength(), Direction: c.Spec.Direction}
	if c.Compile == nil {
		return t, nil
	}
	var err error
	t.Filter, err = c.Compile(in)
	return t, err
}

func (s Spec) snapLength() int {
	if s.SnapLength == 0 {
		return MaxSnapLength
	}
	return s.SnapLength
}

// create begins the next file.
func (j *Job) create() error {
	c := j.config
	name := c.FileName
	if c.Spec.Rotates() || j.next > 1 {
		name = NumberedName(name, j.next)
	}
	if _, err := c.Dir.Lstat(name); err == nil {
		return &FileExistsError{name}
	}
	h := j.header()
	file, err := c.Create(c.Dir, PartName(name), h)
	if err != nil {
		return err
	}
	j.took(file, name, h.Start)
	j.next++
	j.began++
	return nil
}

// append goes on in the file that the capture had last.
func (j *Job) append() error {
	c := j.config
	s := &j.status
	last := s.Files[len(s.Files)-1]
	if err := c.Dir.Rename(last.Name, PartName(last.Name)); err != nil {
		return &SpecError{"mode", fmt.Sprintf("the file %s, which was to be appended to, is not there", last.Name)}
	}
	h := j.header()
	if h.MaxBytes != Unlimited {
		h.MaxBytes += last.Bytes // which are counted already
	}
	file, err := c.Append(c.Dir, PartName(last.Name), h, last)
	if err != nil {
		c.Dir.Rename(PartName(last.Name), last.Name)
		return err
	}
	s.Files = s.Files[:len(s.Files)-1]
	j.closed -= last.Bytes
	j.packets -= last.Packets
	j.took(file, last.Name, h.Start)
	return nil
}

// header is that of a file that begins now.
func (j *Job) header() FileHeader {
	c := j.config
	j.most, j.final = Unlimited, false
	if limit := c.Spec.endsAt(); limit != Unlimited {
		j.most, j.final = max(limit-j.closed, 0), true
	}
	if each := c.Spec.files().FileBytes; each > 0 && (!j.final || each < j.most) {
		j.most, j.final = each, false
	}
	return FileHeader{
		Format:      j.format,
		Interfaces:  slices.Clone(j.interfaces),
		SnapLength:  c.Spec.snapLength(),
		Filter:      c.EffectiveFilter,
		Precision:   c.Spec.Precision,
		Comments:    c.Comments,
		MaxBytes:    j.most,
		Machine:     c.Machine,
		System:      c.System,
		Application: c.Application,
		Start:       time.Now(),
	}
}

// took makes a file the one that packets go to.
func (j *Job) took(file File, name string, now time.Time) {
	j.file, j.name, j.begun = file, name, now
	info := file.Info()
	info.Name = name
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.status.Files = append(j.status.Files, info)
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
	case j.keeper.freed <- struct{}{}:
	default: // it is about to look anyhow
	}
}

// Done is closed when the capture has ended and its files have their names.
func (j *Job) Done() <-chan struct{} { return j.done }

// Err is why the capture could not go on, for a log: Status says it to users.
func (j *Job) Err() error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.err
}

// Status is the capture at this moment.
func (j *Job) Status() Status {
	j.mutex.Lock()
	s, behind, err := j.status, j.behind, j.err
	s.Interfaces = slices.Clone(s.Interfaces)
	s.Files = slices.Clone(s.Files)
	s.State, s.StopReason, s.StartTime, s.EndTime = Running, j.reason, j.start, j.end
	j.mutex.Unlock()
	// The counters are read last: what is written was received.
	counters := j.source.Counters()
	s.EffectiveFilter, s.Format, s.Owner = j.config.EffectiveFilter, j.format, j.config.Owner
	for _, f := range s.Files {
		s.PacketsWritten += uint64(f.Packets)
		s.BytesWritten += f.Bytes
	}
	s.PacketsWritten += uint64(s.PacketsRemoved)
	s.BytesWritten += s.BytesRemoved
	for _, c := range counters {
		s.PacketsReceived += c.Received
		s.PacketsDropped += c.Dropped
		s.PacketsSeen += c.Seen
	}
	s.PacketsNotShown += j.views.missed.Load()
	s.PacketsMatched = s.PacketsReceived + s.PacketsDropped
	if s.StopReason == "" {
		return s
	}
	s.State = s.StopReason.State()
	if before := s.PacketsWritten + s.PacketsDiscarded + s.PacketsBehindLimit; before < s.PacketsReceived {
		left := s.PacketsReceived - before
		if behind {
			s.PacketsBehindLimit += left
		} else {
			s.PacketsDiscarded += left
		}
	}
	if err != nil {
		s.Error = explain(s.StopReason, err)
	}
	return s
}

// explain is what a user reads about the failure that ended a capture.
func explain(reason StopReason, err error) string {
	var low *DiskLowError
	var quota *QuotaError
	switch {
	case errors.As(err, &low), errors.As(err, &quota):
		return err.Error()
	case reason == DiskLow:
		return "the disk is full"
	case errors.Is(err, syscall.EIO):
		return "the disk reports an error"
	case errors.Is(err, syscall.EROFS):
		return "the disk can only be read"
	}
	return "the capture could not go on"
}

func (j *Job) run() {
	defer close(j.done)
	defer j.views.end()
	if j.config.Release != nil {
		defer j.config.Release()
	}
	var reason StopReason
	var err error
	if j.config.Prepare != nil {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err = j.config.Prepare()
	}
	if err == nil {
		reason, err = j.move()
	} else {
		reason, err = failure(err)
	}
	j.source.Close()
	j.hand(j.file, j.name)
	if kept := j.keeper.end(); kept != nil && err == nil {
		reason, err = failure(kept)
	}

	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.reason, j.end, j.err = reason, time.Now(), err
	j.behind = err == nil && (reason == PacketCountReached || reason == SizeExceeded || reason == FileCountReached)
}

// hand gives a file to the keeper, with the counters of its time.
func (j *Job) hand(file File, name string) {
	now := j.source.Counters()
	counters := slices.Clone(now)
	for i, base := range j.base {
		counters[i].Seen -= base.Seen
		counters[i].Received -= base.Received
		counters[i].Dropped -= base.Dropped
	}
	j.base = now
	if e, ok := file.(Ender); ok {
		e.End(counters)
		counters = nil
	}
	j.keeper.files <- finished{file, name, counters}
}

// turn begins the next file. There is a reason if there is none to begin.
func (j *Job) turn() (StopReason, error) {
	limits := j.config.Spec.Limits
	switch {
	case limits.Files > 0 && j.began >= limits.Files:
		return FileCountReached, nil
	case j.final && j.file.Info().Bytes+MaxSnapLength > j.most:
		return SizeExceeded, nil
	}
	file, name, closed := j.file, j.name, j.closed
	j.closed += file.Info().Bytes + file.Ending()
	if err := j.create(); err != nil {
		j.closed = closed
		return failure(err)
	}
	j.hand(file, name)
	return "", j.keeper.failed()
}

const (
	// batchSize is how many packets pass between two looks at limits and wishes.
	batchSize = 256

	// flushDelay is how long a packet may wait in our memory. Before that it may wait
	// in the ring, and after it the disk takes its time: all together is less than 1 s.
	flushDelay = 300 * time.Millisecond

	// yieldStep is after how many bytes other goroutines get a turn: on one CPU the one
	// that writes would else wait for the scheduler's 10 ms after each of its writes.
	yieldStep = 1 << 20

	// diskStep is how many bytes are written between two looks at the free disk.
	diskStep = 4 << 20
)

// move moves packets from source to file until there is a reason to stop. Some reasons
// end it at once, the others let the packets that came before still pass.
func (j *Job) move() (StopReason, error) {
	var (
		batch    = make([]Packet, batchSize)
		limits   = j.config.Spec.Limits
		each     = time.Duration(j.config.Spec.files().FileSeconds) * time.Second
		finished StopReason // why the source takes no more
		deadline time.Time  // for the whole capture
		flush    time.Time  // when to flush next; zero when all is flushed
		checked  = j.closed + j.file.Info().Bytes
		yielded  = checked
		alone    = runtime.GOMAXPROCS(0) == 1
	)
	if limits.DurationSeconds > 0 {
		deadline = j.start.Add(time.Duration(limits.DurationSeconds) * time.Second)
	}
	finish := func(reason StopReason) error {
		finished, deadline = reason, time.Time{}
		return j.source.Finish()
	}

	for {
		now := time.Now()
		if finished == "" {
			var err error
			switch asked := j.asked.Load(); {
			case asked != nil:
				err = finish(*asked)
			case !deadline.IsZero() && !now.Before(deadline):
				err = finish(TimeExceeded)
			}
			if err != nil {
				return failure(err)
			}
		}
		if !flush.IsZero() && !now.Before(flush) {
			pending, err := j.file.Flush()
			if err == nil {
				err = j.keeper.failed() // a file before this one
			}
			if err != nil {
				return failure(err)
			}
			if err := j.checkReserve(); err != nil {
				return DiskLow, err // others write too
			}
			flush = time.Time{}
			if pending {
				flush = now.Add(flushDelay)
			}
		}
		var turn time.Time
		if each > 0 && finished == "" {
			turn = j.begun.Add(each)
			if !now.Before(turn) {
				if reason, err := j.turn(); reason != "" || err != nil {
					return ending(reason, err)
				}
				turn = j.begun.Add(each)
			}
		}

		n, err := j.source.Read(batch, earlier(deadline, earlier(flush, turn)))
		if n > 0 {
			var counted bool
			if limits.Packets > 0 && j.packets+int64(n) >= limits.Packets {
				n, counted = int(max(limits.Packets-j.packets, 0)), true
			}
			reason, err := j.write(batch[:n])
			switch {
			case reason != "" || err != nil:
				return ending(reason, err)
			case counted:
				return PacketCountReached, nil
			}
			if flush.IsZero() {
				flush = time.Now().Add(flushDelay)
			}
			bytes := j.closed + j.file.Info().Bytes
			if alone && bytes-yielded >= yieldStep {
				yielded = bytes
				runtime.Gosched()
			}
			if bytes-checked >= diskStep {
				checked = bytes
				if err := j.checkDisk(); err != nil {
					return DiskLow, err
				}
			}
			continue
		}

		var gone *InterfaceGoneError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if finished == "" {
				finished = InterfaceGone
			}
			return finished, nil
		case errors.Is(err, ErrInterfacesChanged):
			if reason, err := j.join(); reason != "" || err != nil {
				return ending(reason, err)
			}
		case errors.As(err, &gone):
			// Of all interfaces one may go. One that was named is missed.
			j.lose(gone.Name)
			if finished == "" && !j.config.Spec.AllInterfaces() && j.config.Spec.OnInterfaceGone != GoneWaits {
				if err := finish(InterfaceGone); err != nil {
					return failure(err)
				}
			}
		default:
			return failure(err)
		}
	}
}

// ending is a reason, or that of an error.
func ending(reason StopReason, err error) (StopReason, error) {
	if reason == "" {
		return failure(err)
	}
	return reason, err
}

// write writes packets, into as many files as that needs.
func (j *Job) write(batch []Packet) (StopReason, error) {
	for {
		took, err := j.file.Write(batch)
		j.packets += int64(took)
		j.views.show(batch[:took])
		info := j.file.Info()
		info.Name = j.name
		j.mutex.Lock()
		j.status.Files[len(j.status.Files)-1] = info
		j.mutex.Unlock()
		switch {
		case err == nil:
			return "", nil
		case !errors.Is(err, ErrSizeLimit):
			return failure(err)
		case !j.config.Spec.Rotates():
			return SizeExceeded, nil
		}
		if reason, err := j.turn(); reason != "" || err != nil {
			return reason, err
		}
		batch = batch[took:]
	}
}

// join takes the interfaces into the capture that were not there before. There is a
// reason if no file has room for one.
func (j *Job) join() (StopReason, error) {
	adder, able := j.source.(Adder)
	if !able || j.config.Present == nil {
		return "", nil
	}
	present, err := j.config.Present()
	if err != nil {
		return "", nil // it is tried again with the next change
	}
	for _, in := range present {
		known := slices.ContainsFunc(j.interfaces, func(k Interface) bool { return k.Index == in.Index && !j.gone[k.Index] })
		if known || j.format == PCAP && in.LinkType != j.interfaces[0].LinkType {
			continue
		}
		tap, err := j.config.tap(in)
		if err != nil || adder.Add(tap) != nil {
			continue // as likely as not it is gone again
		}
		delete(j.gone, in.Index)
		j.interfaces = append(j.interfaces, in)
		j.base = append(j.base, Counters{})
		now := slices.Clone(j.interfaces)
		j.known.Store(&now)
		if err := j.file.AddInterface(in); err != nil {
			if !j.config.Spec.Rotates() {
				return SizeExceeded, nil
			}
			// The next file begins with all interfaces.
			if reason, err := j.turn(); reason != "" || err != nil {
				return reason, err
			}
		}
		j.mutex.Lock()
		if !slices.Contains(j.status.Interfaces, in.Name) {
			j.status.Interfaces = append(slices.Clone(j.status.Interfaces), in.Name)
		}
		j.mutex.Unlock()
	}
	return "", nil
}

// lose notes that an interface was removed.
func (j *Job) lose(name string) {
	for _, i := range j.interfaces {
		if i.Name == name {
			j.gone[i.Index] = true
		}
	}
}

// earlier is the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// checkDisk looks whether the reserve will still be free at the next look, and the
// quota not used up.
func (j *Job) checkDisk() error {
	if j.config.Allowance != nil {
		if err := j.config.Allowance(); err != nil {
			return err
		}
	}
	return j.checkReserve()
}

// checkReserve looks at the free disk. A file system that does not tell is taken to have
// room.
func (j *Job) checkReserve() error {
	reserve := j.config.Spec.ReserveBytes
	if reserve == 0 {
		return nil
	}
	if free, err := j.file.Free(); err == nil && free < reserve+diskStep {
		return &DiskLowError{max(free, 0), reserve}
	}
	return nil
}

// failure is the end of a capture that cannot go on.
func failure(err error) (StopReason, error) {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return DiskLow, err
	}
	return FileError, err
}

// bare is an error of the file system without the path, which is the server's own.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
