package captures

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/filter"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
)

// Packets that go to somebody who watches and to no file of the appliance: from the network, from a running capture, from files.

const (
	// liveSources is how many watch the network at a time, and liveRing the memory that the kernel fills for each of them.
	liveSources = 8
	liveRing    = 8 << 20
)

// OpenLive takes packets from interfaces for one who watches; those that appear meanwhile join ALL. Its filter, and what is left out and
// cut off, are those of a capture that this caller would start; but a filter that is not given is none, whatever the settings say. The
// FileHeader is what a file of these packets begins with.
//
// The function tells which interfaces of all were left out so far, because the filter is of no use for them.
func (t *Table) OpenLive(ctx context.Context, caller menu.Caller, request capture.Request) (*capture.Live, capture.FileHeader, func() []capture.LeftOut, error) {
	request.Given = append(request.Given, "filter")
	fail := func(err error) (*capture.Live, capture.FileHeader, func() []capture.LeftOut, error) {
		return nil, capture.FileHeader{}, nil, captureError("watch the interfaces", err)
	}
	spec, err := t.specOf(request)
	if err != nil {
		return nil, capture.FileHeader{}, nil, err
	}
	if err := permitFilter(caller, spec.Filter); err != nil {
		return fail(err)
	}
	interfaces, err := resolve(spec.Interfaces)
	if err != nil {
		return fail(err)
	}
	starting, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	spec.HeadersOnly = spec.HeadersOnly || !caller.Payload
	f, err := t.buildFilter(starting, spec, interfaces)
	if err != nil {
		return fail(err)
	}
	interfaces = f.interfaces
	format := spec.FileFormat(len(interfaces))
	for _, i := range interfaces {
		if format == capture.PCAP && i.LinkType != interfaces[0].LinkType {
			return fail(capture.ErrMixedLinkTypes)
		}
	}
	snap := spec.SnapLength
	if snap == 0 {
		snap = capture.MaxSnapLength
	}
	config := capture.LiveConfig{
		Interfaces: interfaces,
		Present:    afpacket.Interfaces,
		Format:     format,
		Tap: func(i capture.Interface) (capture.Tap, error) {
			program, err := f.program(ctx, i)
			return capture.Tap{Interface: i, Filter: program, SnapLength: snap}, err
		},
		Open: func(taps []capture.Tap) (capture.Source, error) {
			return t.openLiveSource(afpacket.Options{RingBytes: liveRing, Promiscuous: spec.Promiscuous, Follow: spec.AllInterfaces()}, taps)
		},
	}
	if spec.AllInterfaces() {
		config.Joins = func(capture.Interface) bool { return true }
	}
	live, err := capture.OpenLive(config)
	if err != nil {
		return fail(err)
	}
	machine, system := machine()
	return live, capture.FileHeader{
		Format: format, Interfaces: interfaces, SnapLength: snap, Filter: f.expression, MaxBytes: capture.Unlimited,
		Machine: machine, System: system, Application: t.product, Start: time.Now(),
	}, f.leftOut, nil
}

// A liveSource is one of the few that may watch the network at a time. It gives its place back when it is closed.
type liveSource struct {
	capture.Source
	capture.Follower
	table *Table
	once  sync.Once
}

func (t *Table) openLiveSource(o afpacket.Options, taps []capture.Tap) (capture.Source, error) {
	if t.live.Add(1) > liveSources {
		t.live.Add(-1)
		return nil, menu.Errorf(menu.State, "%d users watch the network already, which is the most", liveSources).WithHint("Start a capture instead, or try again later")
	}
	source, err := o.Open(taps)
	if err != nil {
		t.live.Add(-1)
		return nil, err
	}
	return &liveSource{Source: source, Follower: source.(capture.Follower), table: t}, nil
}

func (s *liveSource) Close() error {
	s.once.Do(func() { s.table.live.Add(-1) })
	return s.Source.Close()
}

// WatchCapture shows the packets of a running capture as they are written. The function tells its interfaces, to which others may join.
func (t *Table) WatchCapture(name string) (capture.Source, func() []capture.Interface, error) {
	_, job, err := t.runningJob(name)
	if err != nil {
		return nil, nil, err
	}
	return job.Watch(), job.Interfaces, nil
}

// Packets implements api.Files.
func (t *Table) Packets(name string) (f access.File, known bool) {
	if f, err := t.directory.StatFile(name); err == nil {
		return f, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.find(name); ok {
		return access.File{Name: name, Payload: r.Payload}, true
	}
	return access.File{}, false
}

// PacketFiles finds the files of packets that a name stands for: a file of the diagnostic directory, or the files of a capture, with
// the one that is being written as far as it has got.
func (t *Table) PacketFiles(name string) ([]replay.Opener, error) {
	_, missing := t.directory.FileInfo(name)
	if missing == nil {
		return []replay.Opener{t.opener(name)}, nil
	}
	status, err := t.Capture(name)
	if err != nil {
		if t.directory.Growing(name) {
			return nil, missing
		}
		return nil, &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no capture and no file " + menu.Quoted(name),
			Hint: "packetcapture list shows the captures"}
	}
	var files []replay.Opener
	for n, f := range status.Files {
		if status.State == capture.Running && n == len(status.Files)-1 {
			files = append(files, t.openerOfPart(f.Name))
		} else {
			files = append(files, t.opener(f.Name))
		}
	}
	if len(files) == 0 {
		return nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " has no file any more"}
	}
	return files, nil
}

// FileNames are names of finished files that begin so, without regard to case, for who types one: at most so many, and first those that no
// capture of the table has, as they were put there by others.
func (t *Table) FileNames(begun string, most int) []string {
	return t.fileNames(begun, most, func(string) bool { return true })
}

// PacketFileNames are those of FileNames that may hold packets, as they begin.
func (t *Table) PacketFileNames(begun string, most int) []string {
	kind := t.directory.Kinds()
	return t.fileNames(begun, most, func(name string) bool {
		if k := kind(name); k != (captureFiles{}).Kind() && k != files.KindOther {
			return false
		}
		f, err := t.directory.OpenFile(name)
		if err != nil {
			return false
		}
		defer f.Close()
		var magic [4]byte
		_, err = io.ReadFull(f, magic[:])
		return err == nil && pcapfile.Begins(magic[:])
	})
}

// fileNames are names of finished files that begin so and are wanted. A directory that cannot be read has none to offer; who lists it is told why.
func (t *Table) fileNames(begun string, most int, wanted func(string) bool) []string {
	dir, err := t.directory.Root().Open(".")
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil
	}
	captured := t.capturedFiles()
	var own, others []string
	for _, e := range entries {
		switch name := e.Name(); {
		case !files.PlainName(name) || !e.Type().IsRegular() || len(name) < len(begun) || !strings.EqualFold(name[:len(begun)], begun):
		case captured[name]:
			own = append(own, name)
		default:
			others = append(others, name)
		}
	}
	slices.Sort(own)
	slices.Sort(others)
	var list []string
	for _, name := range slices.Concat(others, own) {
		if len(list) == most {
			break
		}
		if wanted(name) {
			list = append(list, name)
		}
	}
	return list
}

func (t *Table) opener(name string) replay.Opener {
	return func() (io.ReadCloser, error) { return t.directory.OpenFile(name) }
}

// openerOfPart opens a file that was being written a moment ago; it may have got its name since.
func (t *Table) openerOfPart(name string) replay.Opener {
	return func() (io.ReadCloser, error) {
		f, err := t.directory.Root().OpenFile(capture.PartName(name), os.O_RDONLY, 0)
		if err != nil {
			return t.directory.OpenFile(name)
		}
		return f, nil
	}
}

// MatchFilter makes of a filter expression one that chooses packets of files and of running captures. It is for one goroutine.
func (t *Table) MatchFilter(ctx context.Context, expression string) (*replay.Filter, error) {
	f, err := replay.NewFilter(ctx, expression, filter.Remember(filterNames), func(i capture.Interface) uint32 {
		if i.Index == 0 {
			return 0 // of a file: it does not say what network it is from
		}
		mask, _ := netmask(i)
		return mask
	})
	if err != nil {
		return nil, menu.Failing("check the filter", filterError(err, capture.Interface{}))
	}
	return f, nil
}
