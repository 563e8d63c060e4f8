package beside

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/diag/ports"
)

// An engine is told by the test what happens.
type engine struct {
	ports.Watcher
	left  bool
	blind []string
}

func (e *engine) Watch(_ context.Context, w ports.Watcher) (func(), error) {
	e.Watcher = w
	return func() { e.left = true }, nil
}

func (e *engine) Status() (ports.Status, bool) {
	return ports.Status{Tier: ports.Polling, Blind: e.blind}, true
}

func flow(netns uint64, from, until time.Time, pid int) ports.Flow {
	return ports.Flow{NetNS: netns, Protocol: ports.UDP, Local: netip.MustParseAddrPort("127.0.0.1:1000"),
		Remote: netip.MustParseAddrPort("127.0.0.1:2000"), From: from, Until: until, Socket: 7,
		Process: ports.Process{PID: pid, Name: "curl"}}
}

// udp is a datagram from port 1000 to 2000 of this machine.
func udp(at time.Time) *capture.Packet {
	b := append([]byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}, 3, 232, 7, 208, 0, 8, 0, 0)
	return &capture.Packet{Time: at.UnixNano(), Data: b, Length: uint32(len(b))}
}

// What the engine tells of the capture's namespace, and of no other, is in the file, once for what
// came together, and the file says up to when it knows.
func TestFlowsBesideACapture(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	e := &engine{blind: []string{"The kernel tells nothing"}}
	netns, err := networkNamespace()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Begin(Options{Dir: root, File: "x.pcapng", MostBytes: 1 << 20, Room: func() error { return nil },
		Recorders: []Recorder{FlowRecorder{e}}}, Capture{Options: capture.Options{Processes: true}})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	e.Flows([]ports.Flow{flow(netns, from, time.Time{}, 41), flow(netns+1, from, time.Time{}, 42)})
	until := from.Add(10 * time.Microsecond)
	e.Flows([]ports.Flow{flow(netns, from, until, 41)})
	e.Records([]ports.Record{{Event: ports.Gap, Time: from.Add(time.Minute)}})
	if err := s.Close(); err != nil || !e.left {
		t.Fatal(e.left, err)
	}
	if list := s.Files(); len(list) != 1 || !slices.Equal(list[0].Blind, e.blind) {
		t.Errorf("the status does not say what is not seen: %+v", list)
	}
	file, err := os.Open(filepath.Join(dir, "x.flows"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	table := owners.NewTable()
	if err := table.Read(file); err != nil {
		t.Fatal(err)
	}
	j := owners.NewJoiner(table)
	for _, test := range []struct {
		at  time.Time
		pid int
	}{{from.Add(time.Microsecond), 41}, {until, 41}, {from.Add(time.Hour), 0}} {
		pid := 0
		if p := j.Join(udp(test.at), capture.Raw).Sender; p != nil {
			pid = p.PID
		}
		if pid != test.pid {
			t.Errorf("%v after its begin it is of %d; want %d", test.at.Sub(from), pid, test.pid)
		}
	}
}

// A capture that asks for no processes watches no socket.
func TestNoFlowsUnlessAsked(t *testing.T) {
	if (FlowRecorder{}).Wanted(capture.Options{}) {
		t.Error("every capture has a table of flows")
	}
}

// A live table knows at once what happens.
func TestLiveFlows(t *testing.T) {
	e := &engine{}
	netns, _ := networkNamespace()
	table, stop, err := FlowRecorder{e}.Live()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	e.Flows([]ports.Flow{flow(netns, from, time.Time{}, 41)})
	stop()
	if p := owners.NewJoiner(table).Join(udp(from.Add(time.Microsecond)), capture.Raw).Sender; p == nil || p.PID != 41 {
		t.Errorf("it is of %+v", p)
	}
	if !e.left {
		t.Error("the engine is still watched")
	}
}
