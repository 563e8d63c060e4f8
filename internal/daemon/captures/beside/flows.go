package beside

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/diag/ports"
)

const (
	// flowsEvery is how often a file of flows is written, and what is lost of it by kill -9.
	flowsEvery = 500 * time.Millisecond

	// liveEvery is how often a table for a live look is brought up to date, and keepLive how long it
	// has what is over: as long as packets of it may still come, and who looks may be behind.
	liveEvery = 50 * time.Millisecond
	keepLive  = 90 * time.Second

	// behind is how long an event may take from the kernel to us.
	behind = 100 * time.Millisecond

	// lossWindow is how long before the engine says so events may have been lost.
	lossWindow = 2 * time.Second

	// addressesEvery is how often the addresses of the namespace are looked at.
	addressesEvery = 5 * time.Second
)

// A Watched tells what happens to sockets. It is a *ports.Engine.
type Watched interface {
	Watch(context.Context, ports.Watcher) (stop func(), err error)
	Status() (s ports.Status, runs bool)
}

// A FlowRecorder writes the tables of flows beside captures, and has tables for those who look
// live.
type FlowRecorder struct{ Ports Watched }

// Kind implements Recorder.
func (FlowRecorder) Kind() Kind { return Flows }

// Wanted implements Recorder.
func (FlowRecorder) Wanted(o capture.Options) bool { return o.Processes }

// Begin implements Recorder. The network namespace is that of the calling thread.
func (r FlowRecorder) Begin(_ Capture, out *File) (end func(), err error) {
	out.shortenBy(shortenFlows)
	w := &flowWriter{out: out}
	stop, err := r.follow(w, flowsEvery)
	if err != nil {
		return nil, err
	}
	if s, runs := r.Ports.Status(); runs {
		out.setBlind(s.Blind)
	}
	return func() {
		stop()
		w.end()
	}, nil
}

// Live returns a table of what happens from now on in the network namespace of the calling thread,
// until stop is called.
func (r FlowRecorder) Live() (table *owners.Table, stop func(), err error) {
	t := &liveTable{Table: owners.NewTable(), forgot: time.Now()}
	stop, err = r.follow(t, liveEvery)
	return t.Table, stop, err
}

// A teller is told of a network namespace, by one goroutine at a time.
type teller interface {
	tell(owners.Line)
	flows([]owners.Flow)
	flush() // what was told is now to be seen; called every so often
}

// follow tells a teller what happens in the network namespace of the calling thread, until stop is
// called, after which nothing is told.
func (r FlowRecorder) follow(to teller, every time.Duration) (stop func(), err error) {
	netns, err := networkNamespace()
	if err != nil {
		return nil, err
	}
	local, err := openAddresses()
	if err != nil {
		return nil, err
	}
	f := &follower{to: to, netns: netns, addresses: local}
	f.tell(owners.Line{Event: owners.Began, NetNS: netns, Time: time.Now()})
	f.lookAtAddresses()
	leave, err := r.Ports.Watch(context.Background(), ports.Watcher{Records: f.records, Flows: f.flows})
	if err != nil {
		local.close()
		return nil, fmt.Errorf("sockets cannot be watched: %w", err)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		f.run(every, over)
	}()
	return func() {
		leave()
		close(over)
		<-ended
		local.close()
		f.known(time.Now())
	}, nil
}

// A follower picks what happens in one network namespace.
type follower struct {
	netns     uint64
	addresses *addresses

	mu sync.Mutex // one tells at a time
	to teller
}

func (f *follower) tell(l owners.Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to.tell(l)
}

// flows is told by the engine.
func (f *follower) flows(list []ports.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ours []owners.Flow
	for i := range list {
		if list[i].NetNS == f.netns {
			ours = append(ours, flowOf(&list[i]))
		}
	}
	if len(ours) > 0 {
		f.to.flows(ours)
	}
}

func flowOf(f *ports.Flow) owners.Flow {
	return owners.Flow{
		NetNS: f.NetNS, Protocol: owners.Protocol(f.Protocol), LocalAddress: f.Local.Addr(), LocalPort: f.Local.Port(),
		RemoteAddress: f.Remote.Addr(), RemotePort: f.Remote.Port(), From: f.From, Until: f.Until, Unused: f.Unused, First: f.First, Socket: f.Socket,
		Process: owners.Process{PID: f.PID, Name: f.Name, Exe: f.Exe, UID: f.UID, User: f.User},
	}
}

// records is told by the engine. Only that events were lost is of interest.
func (f *follower) records(list []ports.Record) {
	for i := range list {
		if at := list[i].Time; list[i].Event == ports.Gap {
			f.tell(owners.Line{Event: owners.Lost, From: at.Add(-lossWindow), Time: at.Add(behind)})
		}
	}
}

// run says every so often up to when all is known, until over is closed.
func (f *follower) run(every time.Duration, over <-chan struct{}) {
	ticks, looks := time.NewTicker(every), time.NewTicker(addressesEvery)
	defer ticks.Stop()
	defer looks.Stop()
	for {
		select {
		case <-ticks.C:
			f.known(time.Now().Add(-behind))
		case <-looks.C:
			f.lookAtAddresses()
		case <-over:
			return
		}
	}
}

func (f *follower) known(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to.tell(owners.Line{Event: owners.Known, Time: until})
	f.to.flush()
}

// lookAtAddresses tells the addresses of the namespace if they are others now.
func (f *follower) lookAtAddresses() {
	if list, changed := f.addresses.look(); changed {
		f.tell(owners.Line{Event: owners.Addressed, Time: time.Now(), Addresses: list})
	}
}

// networkNamespace returns the inode of the calling thread's network namespace.
func networkNamespace() (uint64, error) {
	info, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return 0, fmt.Errorf("the network namespace cannot be looked at: %w", bare(err))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("the network namespace has no number")
	}
	return stat.Ino, nil
}

// A liveTable is a table that is told as it happens.
type liveTable struct {
	*owners.Table
	forgot time.Time
}

func (t *liveTable) tell(l owners.Line) { t.Tell(l) }

func (t *liveTable) flows(list []owners.Flow) {
	for _, f := range list {
		t.Add(f)
	}
}

func (t *liveTable) flush() {
	if now := time.Now(); now.Sub(t.forgot) > keepLive/10 {
		t.forgot = now
		t.Forget(now.Add(-keepLive))
	}
}
