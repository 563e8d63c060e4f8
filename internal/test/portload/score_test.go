package portload

import (
	"net/netip"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload/truth"
)

// said is a few truths of each shape, and recorded what a perfect log says of them.
func said() ([]truth.Truth, []ports.Record) {
	here, there := netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("127.0.0.1:40000")
	sent, received := uint64(20), uint64(16)
	truths := []truth.Truth{
		{Class: "a", Event: "listen", PID: 7, Local: here},
		{Class: "a", Event: "connect", PID: 8, Local: there, Remote: here},
		{Class: "a", Event: "accept", PID: 7, Local: here, Remote: there},
		{Class: "a", Event: "close", PID: 7, Local: here, Remote: there, Sent: &sent, Received: &received},
		{Class: "b", Event: "refused", PID: 8, Remote: netip.MustParseAddrPort("127.0.0.1:81")},
		{Class: "b", Event: "rejected", Local: netip.MustParseAddrPort("127.0.0.1:81")},
	}
	var records []ports.Record
	for i := range truths {
		t := &truths[i]
		t.Time, t.Protocol, t.NetNS = time.Unix(1e9+int64(i), 0), "tcp", 4
		if t.PID != 0 {
			t.Exe, t.Process = "/usr/bin/load", "load"
		}
		records = append(records, ports.Record{Time: t.Time.Add(-time.Millisecond), Event: ports.Event(t.Event),
			Protocol: ports.TCP, LocalAddress: t.Local.Addr(), LocalPort: t.Local.Port(), RemoteAddress: t.Remote.Addr(),
			RemotePort: t.Remote.Port(), NetNS: t.NetNS, Process: ports.Process{PID: t.PID, Exe: t.Exe, Name: t.Process},
			BytesSent: t.Sent, BytesReceived: t.Received})
	}
	return truths, records
}

// TestJudge: a perfect log is right in everything. One whose processes are all replaced is wrong in
// everything, one without processes or records is neither, and one with the wrong bytes has those
// wrong.
func TestJudge(t *testing.T) {
	truths, _ := said()
	for _, c := range []struct {
		name                       string
		change                     func(r []ports.Record) []ports.Record
		found, right, wrong, bytes int
		surplus                    int
	}{
		{"perfect", func(r []ports.Record) []ports.Record { return r }, 6, 6, 0, 1, 0},
		{"all replaced", func(r []ports.Record) []ports.Record {
			for i := range r {
				r[i].PID = 1
			}
			return r
		}, 6, 0, 6, 1, 0},
		{"another file", func(r []ports.Record) []ports.Record { r[1].Exe = "/bin/other"; return r }, 6, 5, 1, 1, 0},
		{"another name", func(r []ports.Record) []ports.Record { r[1].Name = "thread"; return r }, 6, 5, 1, 1, 0},
		{"nobody", func(r []ports.Record) []ports.Record {
			for i := range r {
				r[i].Process = ports.Process{}
			}
			return r
		}, 6, 1, 0, 1, 0},
		{"nothing", func(r []ports.Record) []ports.Record { return nil }, 0, 0, 0, 0, 0},
		{"other bytes", func(r []ports.Record) []ports.Record { n := uint64(21); r[3].BytesSent = &n; return r }, 6, 6, 0, 0, 0},
		{"twice", func(r []ports.Record) []ports.Record { return append(r, r[2]) }, 6, 6, 0, 1, 1},
		{"elsewhere", func(r []ports.Record) []ports.Record { r[2].NetNS = 5; return r }, 5, 5, 0, 1, 1},
		{"another port", func(r []ports.Record) []ports.Record { r[2].RemotePort++; return r }, 5, 5, 0, 1, 1},
		{"another address", func(r []ports.Record) []ports.Record {
			r[2].RemoteAddress = netip.MustParseAddr("127.0.0.2")
			return r
		}, 5, 5, 0, 1, 1},
		{"another day", func(r []ports.Record) []ports.Record { r[2].Time = r[2].Time.Add(time.Hour); return r }, 5, 5, 0, 1, 1},
	} {
		_, records := said()
		s := Judge(truths, c.change(records))
		sum := s.Sum()
		if sum.Truths != 6 || sum.Found != c.found || sum.Right != c.right || sum.Wrong != c.wrong || sum.Bytes != c.bytes ||
			len(s.Surplus) != c.surplus {
			t.Errorf("%s: %+v, %d without a truth", c.name, *sum, len(s.Surplus))
		}
	}
}

// TestSharedEnds: of sockets that have the same end each record counts for its own process, and one
// for a process that has none is wrong.
func TestSharedEnds(t *testing.T) {
	truths, records := said()
	truths, records = truths[:1], records[:1]
	other, recorded := truths[0], records[0]
	other.PID, other.Time, recorded.PID, recorded.Time = 9, other.Time.Add(time.Second), 9, recorded.Time.Add(time.Second)
	truths = append(truths, other)
	for _, c := range []struct {
		records             []ports.Record
		found, right, wrong int
	}{
		{[]ports.Record{records[0], recorded}, 2, 2, 0},
		{[]ports.Record{recorded}, 1, 1, 0},
		{[]ports.Record{recorded, recorded}, 2, 1, 1},
	} {
		if sum := Judge(truths, c.records).Sum(); sum.Found != c.found || sum.Right != c.right || sum.Wrong != c.wrong {
			t.Errorf("%+v of %+v", *sum, c)
		}
	}
}

// TestEndsAgain: a later connection of other processes may have the same two ends. Its record is its
// own, though the one before it has none.
func TestEndsAgain(t *testing.T) {
	truths, records := said()
	later, recorded := truths[1], records[1]
	later.PID, recorded.PID = 9, 9
	later.Time, recorded.Time = later.Time.Add(4*time.Second), recorded.Time.Add(4*time.Second)
	truths = []truth.Truth{truths[1], later}
	for _, c := range []struct {
		records             []ports.Record
		found, right, wrong int
	}{
		{[]ports.Record{records[1], recorded}, 2, 2, 0},
		{[]ports.Record{recorded}, 1, 1, 0},
		{[]ports.Record{records[1]}, 1, 1, 0},
	} {
		if sum := Judge(truths, c.records).Sum(); sum.Found != c.found || sum.Right != c.right || sum.Wrong != c.wrong {
			t.Errorf("%+v of %+v", *sum, c)
		}
	}
	recorded.PID = 1
	if sum := Judge(truths, []ports.Record{records[1], recorded}).Sum(); sum.Right != 1 || sum.Wrong != 1 {
		t.Errorf("%+v of a wrong process", *sum)
	}
}
