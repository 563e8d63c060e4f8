package portlogs

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/ports/usage"
)

// A paper is a writer that has a width.
type paper struct {
	bytes.Buffer
	columns int
}

func (p *paper) Columns() int { return p.columns }

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func closed() ports.Record {
	sent, received, seconds := uint64(12), uint64(9000), 0.0123
	return ports.Record{Time: noon, Event: ports.Closed, Protocol: ports.TCP, LocalAddress: netip.MustParseAddr("192.0.2.1"), LocalPort: 40000,
		RemoteAddress: netip.MustParseAddr("198.51.100.80"), RemotePort: 443, Process: ports.Process{PID: 4242, Name: "curl", Exe: "/usr/bin/curl", UID: 1000, User: "ann"},
		BytesSent: &sent, BytesReceived: &received, Seconds: &seconds, OpenedBy: 7}
}

func TestRecord(t *testing.T) {
	wide := closed()
	wide.LocalAddress, wide.RemoteAddress = netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"), netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:7777")
	wide.Exe = "/opt/" + strings.Repeat("long/", 30) + "name with blanks"
	for _, c := range []struct {
		name    string
		columns int
		r       ports.Record
		want    string
	}{
		{"a connection", 80, closed(), `12:00:00.000 close    tcp  192.0.2.1:40000       198.51.100.80:443     4242/curl
             ann, /usr/bin/curl, 12 B sent, 9000 B received, 12.3 ms, opened by
             7
`},
		{"long ones", 80, wide, `12:00:00.000 close    tcp  [2001:db8:1111:2222:3333:4444:5555:6666]:40000
             [2001:db8:1111:2222:3333:4444:5555:7777]:443 4242/curl, ann,
             /opt/long/long/long/long/long/long/long/long/long/long/long/long/l
             ong/long/long/long/long/long/long/long/long/long/long/long/long/lon
             g/long/long/long/long/name with blanks, 12 B sent, 9000 B received,
             12.3 ms, opened by 7
`},
		{"a listener", 80, ports.Record{Time: noon, Event: ports.Listening, Protocol: ports.TCP, LocalAddress: netip.IPv6Unspecified(), LocalPort: 22,
			Process: ports.Process{PID: 1}}, `12:00:00.000 listen   tcp  *:22                                        1
             user 0
`},
		{"nobody", 80, ports.Record{Time: noon, Event: ports.Rejected, Protocol: ports.TCP, LocalAddress: netip.MustParseAddr("192.0.2.1"), LocalPort: 23,
			RemoteAddress: netip.MustParseAddr("203.0.113.9"), RemotePort: 5, Reason: "nobody listens"}, `12:00:00.000 rejected tcp  192.0.2.1:23          203.0.113.9:5         -
             nobody listens
`},
		{"a gap", 80, ports.Record{Time: noon, Event: ports.Gap, Lost: 3, Reason: "the disk was full"}, "12:00:00.000 gap      3 events missing here: the disk was full\n"},
		{"the begin", 80, ports.Record{Time: noon, Event: ports.Began, Reason: "tier A, the kernel tells of each socket"}, "12:00:00.000 start    tier A, the kernel tells of each socket\n"},
		{"no limit", 0, closed(), `12:00:00.000 close    tcp  192.0.2.1:40000       198.51.100.80:443     4242/curl
             ann, /usr/bin/curl, 12 B sent, 9000 B received, 12.3 ms, opened by 7
`},
	} {
		p := &paper{columns: c.columns}
		Record(p, c.r)
		if p.String() != c.want {
			t.Errorf("%s:\n%swant\n%s", c.name, p.String(), c.want)
		}
	}
}

// hostile is a process whose every text is an attack on who reads it.
var hostile = ports.Process{PID: 66, Name: "<script>\x1b[2J", Exe: "/tmp/\"><img src=x onerror=alert(1)>\n/sshd", User: "\u202eroot</table>"}

func report(t *testing.T) *usage.Report {
	c, err := usage.NewCounter([]string{"198.51.100.0/24", "10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := closed(), closed(), closed()
	first.Socket, second.Socket = 1, 2
	second.Process, second.Event = hostile, ports.Refused
	third.Event, third.Socket, third.RemoteAddress, third.Process, third.BytesSent = ports.Listening, 3, netip.Addr{}, hostile, nil
	for _, r := range []ports.Record{first, second, third, {Time: noon, Event: ports.Gap, Lost: 9}} {
		c.Add(&r)
	}
	return c.Report(10)
}

// A report fits a terminal, but for what cannot be broken, and says all of its parts.
func TestReport(t *testing.T) {
	p := &paper{columns: 80}
	Report(p, report(t))
	for _, want := range []string{"4 records from 2026-11-30 12:00:00 UTC", "9 events", "Names of the system, other files\n", "Addresses of interest\n",
		"Nothing of: 10.0.0.0/8.", "Refused, timed out and rejected\n", "Listeners that came and went\n", "Programs with one socket\n", "Most bytes\n",
		"Ports\n", "Processes\n", "Remote addresses\n", "Users\n", "Hours\n", "443/tcp", "8.8 KB"} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if strings.ContainsAny(p.String(), "\x1b\u202e") {
		t.Error("it has what processes chose as it came")
	}
	p.Reset()
	Report(p, func() *usage.Report { c, _ := usage.NewCounter(nil); return c.Report(1) }())
	if p.String() != "The log has no such record.\n" {
		t.Errorf("an empty one says %q", p.String())
	}
	if t.Failed() {
		t.Log(p.String())
	}
}

// A page stands for itself: it runs nothing and fetches nothing, and texts of strangers are texts.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := Page(&b, About{Host: "mx1<b>", Product: "diagsh 1", User: "ann", Made: noon, Command: "portlog report"}, report(t)); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", "<img", "\x1b", "\u202e", "<b>", "http:", "https:", " src=\"", "javascript"} {
		if strings.Contains(page, bad) {
			t.Errorf("it has %q", bad)
		}
	}
	for _, want := range []string{`http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"`, "&lt;script&gt;", "Port log of mx1&lt;b&gt;",
		"<h2 id=\"part2\">Addresses of interest</h2>", "<code>portlog report</code>", "<th scope=\"col\">Last (UTC)</th>", "<th scope=\"col\">PID</th>"} {
		if !strings.Contains(page, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if strings.Count(page, "<table>") != strings.Count(page, "</table>") || strings.Count(page, "<td>") != strings.Count(page, "</td>") {
		t.Error("its tables are not closed")
	}
}
