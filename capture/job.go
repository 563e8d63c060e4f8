package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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

	// Interfaces are those that Spec.Interfaces stand for.
	Interfaces []Interface

	// Compile makes the filter program for an interface; nil takes every packet.
	Compile func(Interface) ([]bpf.RawInstruction, error)

	// Open begins to take packets.
	Open func([]Tap) (Source, error)

	// Create begins a file, which must not be there yet.
	Create func(dir *os.Root, name string, h FileHeader) (File, error)

	// Dir is where the file is written, as PartName(FileName), and gets its name when
	// it is finished.
	Dir      *os.Root
	FileName string

	// Machine, System and Application are for the FileHeader.
	Machine, System, Application string
}

// Job is a capture that runs, or has ended. Its methods may be called by anyone at
// any time.
type Job struct {
	config Config
	format Format
	start  time.Time
	source Source
	file   File

	asked atomic.Pointer[StopReason] // by Stop
	done  chan struct{}
	views views

	mutex  sync.Mutex // guards what follows
	info   FileInfo
	reason StopReason // when it has ended
	end    time.Time
	err    error
}

// Start begins a capture: when it returns, every packet that the filter wants is kept.
// When it fails nothing is left behind.
//
// The error is a *SpecError, *FileExistsError, *DiskLowError, or what Compile, Open or
// Create returned.
func Start(c Config) (*Job, error) {
	if err := c.Spec.Check(); err != nil {
		return nil, err
	}
	if len(c.Interfaces) == 0 {
		return nil, &SpecError{"interfaces", "there is no interface to capture"}
	}
	if strings.ContainsRune(c.FileName, '/') || strings.HasPrefix(c.FileName, ".") || c.FileName == "" {
		return nil, fmt.Errorf("%q cannot be the name of a capture file", c.FileName)
	}
	if _, err := c.Dir.Lstat(c.FileName); err == nil {
		return nil, &FileExistsError{c.FileName}
	}
	taps, err := c.taps()
	if err != nil {
		return nil, err
	}

	j := &Job{config: c, format: c.Spec.FileFormat(len(c.Interfaces)), start: time.Now(), done: make(chan struct{})}
	j.file, err = c.Create(c.Dir, PartName(c.FileName), FileHeader{
		Format:      j.format,
		Interfaces:  c.Interfaces,
		SnapLength:  c.Spec.snapLength(),
		Filter:      c.EffectiveFilter,
		MaxBytes:    c.Spec.Limits.SizeBytes,
		Machine:     c.Machine,
		System:      c.System,
		Application: c.Application,
		Start:       j.start,
	})
	if err != nil {
		return nil, err
	}
	err = j.checkDisk()
	if err == nil {
		j.source, err = c.Open(taps)
	}
	if err != nil {
		j.file.Close(nil)
		c.Dir.Remove(PartName(c.FileName))
		return nil, err
	}
	j.info = j.file.Info()
	go j.run()
	return j, nil
}

func (c Config) taps() ([]Tap, error) {
	taps := make([]Tap, len(c.Interfaces))
	for i, in := range c.Interfaces {
		taps[i] = Tap{Interface: in, SnapLength: c.Spec.snapLength()}
		if c.Compile != nil {
			var err error
			if taps[i].Filter, err = c.Compile(in); err != nil {
				return nil, err
			}
		}
	}
	return taps, nil
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

// Done is closed when the capture has ended and its file has its name.
func (j *Job) Done() <-chan struct{} { return j.done }

// Status is the capture at this moment.
func (j *Job) Status() Status {
	j.mutex.Lock()
	info, reason, end, err := j.info, j.reason, j.end, j.err
	j.mutex.Unlock()

	spec := j.config.Spec
	s := Status{
		Name:            spec.Name,
		State:           Running,
		StopReason:      reason,
		Filter:          spec.Filter,
		EffectiveFilter: j.config.EffectiveFilter,
		SnapLength:      spec.SnapLength,
		Format:          j.format,
		Mode:            Single,
		Limits:          spec.Limits,
		StartTime:       j.start,
		EndTime:         end,
		Owner:           j.config.Owner,
		PacketsWritten:  uint64(info.Packets),
		BytesWritten:    info.Bytes,
	}
	for _, i := range j.config.Interfaces {
		s.Interfaces = append(s.Interfaces, i.Name)
	}
	for _, c := range j.source.Counters() {
		s.PacketsReceived += c.Received
		s.PacketsDropped += c.Dropped
	}
	if reason != "" {
		s.State = reason.State()
	} else {
		info.Name = j.config.FileName
	}
	s.Files = []FileInfo{info}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

func (j *Job) run() {
	defer close(j.done)
	defer j.views.end()
	reason, err := j.move()
	j.source.Close()

	info, closeErr := j.file.Close(j.source.Counters())
	if closeErr != nil && err == nil {
		reason, err = failure(closeErr)
	}
	if publishErr := j.publish(); publishErr == nil {
		info.Name = j.config.FileName
	} else if err == nil {
		reason, err = failure(publishErr)
	}

	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.info, j.reason, j.end, j.err = info, reason, time.Now(), err
}

const (
	// batchSize is how many packets pass between two looks at limits and wishes.
	batchSize = 256

	// flushDelay is how long a packet may wait in our memory. Before that it may wait
	// in the ring, and after it the disk takes its time: all together is less than 1 s.
	flushDelay = 500 * time.Millisecond

	// diskStep is how many bytes are written between two looks at the free disk.
	diskStep = 4 << 20
)

// move moves packets from source to file until there is a reason to stop. Some reasons
// end it at once, the others let the packets that came before still pass.
func (j *Job) move() (StopReason, error) {
	var (
		batch    = make([]Packet, batchSize)
		limits   = j.config.Spec.Limits
		finished StopReason // why the source takes no more
		deadline time.Time  // for the whole capture
		flush    time.Time  // when to flush next; zero when all is flushed
		checked  = j.file.Info().Bytes
		written  int64
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
			if err != nil {
				return failure(err)
			}
			flush = time.Time{}
			if pending {
				flush = now.Add(flushDelay)
			}
		}

		n, err := j.source.Read(batch, earlier(deadline, flush))
		if n > 0 {
			var counted bool
			if limits.Packets > 0 && written+int64(n) >= limits.Packets {
				n, counted = int(limits.Packets-written), true
			}
			took, err := j.file.Write(batch[:n])
			written += int64(took)
			j.views.show(batch[:took])
			info := j.file.Info()
			j.mutex.Lock()
			j.info = info
			j.mutex.Unlock()
			switch {
			case errors.Is(err, ErrSizeLimit):
				return SizeExceeded, nil
			case err != nil:
				return failure(err)
			case counted:
				return PacketCountReached, nil
			}
			if flush.IsZero() {
				flush = time.Now().Add(flushDelay)
			}
			if info.Bytes-checked >= diskStep {
				checked = info.Bytes
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
		case errors.As(err, &gone):
			// Of all interfaces one may go. One that was named is missed.
			if finished == "" && !j.config.Spec.AllInterfaces() {
				if err := finish(InterfaceGone); err != nil {
					return failure(err)
				}
			}
		default:
			return failure(err)
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

// checkDisk looks whether the reserve will still be free at the next look. A file
// system that does not tell is taken to have room.
func (j *Job) checkDisk() error {
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
		return DiskLow, errors.New("the disk is full")
	}
	return FileError, fmt.Errorf("the capture cannot go on: %w", err)
}

// publish gives the finished file its name.
func (j *Job) publish() error {
	dir, name := j.config.Dir, j.config.FileName
	if _, err := dir.Lstat(name); err == nil {
		return &FileExistsError{name}
	}
	if err := dir.Rename(PartName(name), name); err != nil {
		return bare(err)
	}
	// The new name is on the disk when its directory is.
	d, err := dir.Open(".")
	if err != nil {
		return bare(err)
	}
	defer d.Close()
	return bare(d.Sync())
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
