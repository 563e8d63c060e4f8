package netstat

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/owners"
	"diagsh/diag/ports"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// watched is an appliance whose sockets an engine watches, if there is one.
type watched struct{ *ports.Engine }

func (watched) HostNames(context.Context, []netip.Addr) map[netip.Addr]string { return nil }
func (watched) Drops() *drops.Engine                                          { return nil }
func (watched) DropMeanings() drops.Meanings                                  { return nil }

func (watched) FollowOwners() (func(*capture.Packet) owners.Owners, func(), error) {
	return nil, nil, nil
}

func (w watched) SocketOwner(cookie, inode uint64) (ports.Owner, bool) {
	if w.Engine == nil {
		return ports.Owner{}, false
	}
	return w.Owner(cookie, inode)
}

func (w watched) EndedOwner(local, remote netip.AddrPort) (ports.Owner, bool) {
	if w.Engine == nil {
		return ports.Owner{}, false
	}
	return w.Ended(local, remote)
}

func (w watched) PortsStatus() (ports.Status, bool) { return w.Status() }

// TestHistory: while sockets are watched it is known who opened and who accepted one, and since when
// it is there. The row is the kernel's socket itself.
func TestHistory(t *testing.T) {
	netnstest.NeedsRoot(t, "eBPF")
	engine := ports.New(ports.Options{})
	defer engine.Close()
	stop, err := engine.Watch(t.Context(), ports.Watcher{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	out, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	v := &socketsView{socketsArgs: socketsArgs{Processes: true, History: true}, services: watched{engine}, users: users.Names{}}
	me := os.Getpid()
	// Without what /proc says of holders: the process is who used it last.
	row := func(is func(s *diag.Socket) bool) (line string, r socketRow) {
		t.Helper()
		err := diag.Each(t.Context(), diag.Query{}, func(s *diag.Socket) error {
			if is(s) {
				v.row.fill(v, s, nil)
				line, r = string(v.row.line()), v.row
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return line, r
	}
	for what, is := range map[string]func(s *diag.Socket) bool{
		"listener":  func(s *diag.Socket) bool { return s.State == diag.Listen && s.Local.Port() == port },
		"connected": func(s *diag.Socket) bool { return s.Remote.Port() == port },
		"accepted":  func(s *diag.Socket) bool { return s.State == diag.Established && s.Local.Port() == port },
	} {
		await.Until(t, "the "+what+" one", func() bool {
			_, r := row(is)
			return r.History != nil && (what != "accepted" || r.History.AcceptedBy != nil)
		})
		line, r := row(is)
		h := r.History
		switch {
		case h.Since == nil || h.Older:
			t.Errorf("%s: it is there since %v", what, h.Since)
		case what == "accepted" && h.AcceptedBy.PID != me, what != "accepted" && (h.OpenedBy == nil || h.OpenedBy.PID != me):
			t.Errorf("%s: %+v, %+v", what, h.OpenedBy, h.AcceptedBy)
		case r.PID != me || r.Released:
			t.Errorf("%s: the process is %d, %v", what, r.PID, r.Released)
		case !strings.Contains(line, h.Since.UTC().Format("2006-01-02 15:04:05")):
			t.Errorf("%s: %q", what, line)
		}
	}

	// Who closes first has the connection in TIME_WAIT, without a file and with another cookie.
	out.Close()
	in.Close()
	await.Until(t, "the connection waits", func() bool {
		line, r := row(func(s *diag.Socket) bool { return s.State == diag.TimeWait && s.Remote.Port() == port })
		return r.Released && r.PID == me && r.History.OpenedBy.PID == me && strings.Contains(line, "TIME_WAIT")
	})
}

// TestUnwatched: without an engine there is no history, and no process is made up.
func TestUnwatched(t *testing.T) {
	v := &socketsView{socketsArgs: socketsArgs{Processes: true, History: true}, services: watched{}, users: users.Names{}}
	v.row.fill(v, &diag.Socket{State: diag.FinWait2, Local: netip.MustParseAddrPort("192.0.2.1:25"),
		Remote: netip.MustParseAddrPort("192.0.2.2:4711"), Cookie: 7}, nil)
	if v.row.PID != 0 || v.row.History != nil || !strings.HasSuffix(string(v.row.line()), "-\n") {
		t.Errorf("%q", v.row.line())
	}
}
