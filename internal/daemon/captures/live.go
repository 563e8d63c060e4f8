package captures

import (
	"context"
	"sync"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/internal/daemon/captures/machine"
	"diagsh/internal/daemon/captures/programs"
	"diagsh/internal/menu"
)

// Packets for a user who watches, which go to no file of the appliance: from the network, from a
// running capture, from files.

const (
	// liveSources is how many users watch the network at a time. liveRing is the memory that the
	// kernel fills for each of them, in bytes, and liveBlocks into how many parts it is divided: packets
	// wait for their processes, and slow ones would fill a few parts meanwhile.
	liveSources = 8
	liveRing    = 8 << 20
	liveBlocks  = 32
)

// OpenLive takes packets from interfaces for a caller who watches; those that appear meanwhile join
// ALL. Its filter, and what is left out and cut off, are those of a capture that this caller would
// start. But a request without a filter or a process takes every packet, whatever the settings say. The
// FileHeader is what a file of these packets begins with.
//
// The function returns the interfaces of all that were left out so far, because they cannot match
// the filter.
func (t *Table) OpenLive(ctx context.Context, caller menu.Caller, request capture.Request) (
	*capture.Live, capture.FileHeader, func() []capture.LeftOut, error) {
	request.Given = append(request.Given, "filter", "filters", "process")
	spec, err := t.specOf(request)
	if err != nil {
		return nil, capture.FileHeader{}, nil, err
	}
	spec.HeadersOnly = spec.HeadersOnly || !caller.Payload
	f, err := t.liveFilter(ctx, caller, spec)
	if err != nil {
		return nil, capture.FileHeader{}, nil, captureError("watch the interfaces", err)
	}
	if spec.SnapLength == 0 {
		spec.SnapLength = capture.MaxSnapLength
	}
	format := spec.FileFormat(len(f.Interfaces))
	live, err := capture.OpenLive(t.liveConfig(ctx, spec, f, format))
	if err != nil {
		return nil, capture.FileHeader{}, nil, captureError("watch the interfaces", err)
	}
	host, system := machine.Names()
	return live, capture.FileHeader{
		Format: format, Interfaces: f.Interfaces, SnapLength: spec.SnapLength, Filter: f.Expression,
		MaxBytes: capture.Unlimited, Machine: host, System: system, Application: t.product, Start: time.Now(),
	}, f.LeftOut, nil
}

// liveFilter makes the filter of a live view. It refuses interfaces that do not fit into one file
// of the format.
func (t *Table) liveFilter(ctx context.Context, caller menu.Caller, spec capture.Spec) (*programs.Filter, error) {
	if err := permitFilter(caller, spec.Filter); err != nil {
		return nil, err
	}
	interfaces, err := machine.Resolve(spec.Interfaces)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	f, err := t.buildFilter(ctx, spec, interfaces)
	if err != nil {
		return nil, err
	}
	for _, i := range f.Interfaces {
		if spec.FileFormat(len(f.Interfaces)) == capture.PCAP && i.LinkType != f.Interfaces[0].LinkType {
			return nil, capture.ErrMixedLinkTypes
		}
	}
	return f, nil
}

// liveConfig tells the engine what a live view takes. ctx bounds the look-up of host names for
// interfaces that join.
func (t *Table) liveConfig(
	ctx context.Context, spec capture.Spec, f *programs.Filter, format capture.Format,
) capture.LiveConfig {
	config := capture.LiveConfig{
		Interfaces: f.Interfaces,
		Present:    afpacket.Interfaces,
		Options:    spec.Options,
		Format:     format,
		Tap: func(i capture.Interface) (capture.Tap, error) {
			program, err := f.Program(ctx, i)
			return capture.Tap{Interface: i, Filter: program, SnapLength: spec.SnapLength}, err
		},
		Open: func(taps []capture.Tap) (capture.Source, error) {
			o := afpacket.Options{RingBytes: liveRing, Blocks: liveBlocks, Promiscuous: spec.Promiscuous, Follow: spec.AllInterfaces(),
				Process: spec.Process}
			return t.openLiveSource(o, taps)
		},
	}
	if spec.AllInterfaces() {
		config.Joins = func(capture.Interface) bool { return true }
	}
	return config
}

// A liveSource is one of the few that may watch the network at a time. Close gives its place back.
type liveSource struct {
	capture.Source
	capture.Follower
	table *Table
	once  sync.Once
}

// openLiveSource opens a source, unless liveSources are open.
func (t *Table) openLiveSource(o afpacket.Options, taps []capture.Tap) (capture.Source, error) {
	if t.live.Add(1) > liveSources {
		t.live.Add(-1)
		return nil, menu.Errorf(menu.State, "%d users watch the network already, which is the most", liveSources).
			WithHint("Start a capture instead, or try again later")
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

// CaptureHeader returns what a file of the packets of a running capture begins with, without format
// and interfaces.
func (t *Table) CaptureHeader(name string) (capture.FileHeader, error) {
	r, _, err := t.runningJob(name)
	if err != nil {
		return capture.FileHeader{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := capture.FileHeader{SnapLength: r.Spec.SnapLength, MaxBytes: capture.Unlimited, Application: t.product, Comments: t.comments(r),
		Start: r.Status.StartTime}
	if h.SnapLength == 0 {
		h.SnapLength = capture.MaxSnapLength
	}
	if r.filter != nil {
		h.Filter = r.filter.Expression
	}
	h.Machine, h.System = machine.Names()
	return h, nil
}

// WatchCapture returns the packets of a running capture as they are written. The function returns
// its interfaces, which others may join.
func (t *Table) WatchCapture(name string) (capture.Source, func() []capture.Interface, error) {
	_, job, err := t.runningJob(name)
	if err != nil {
		return nil, nil, err
	}
	return job.Watch(), job.Interfaces, nil
}
