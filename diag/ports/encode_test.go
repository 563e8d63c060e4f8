package ports

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"testing"
	"time"
)

// asJSON is a record as encoding/json writes it.
func asJSON(r *Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// wantJSON: the appender writes what encoding/json does, behind what is there, or refuses what it does.
func wantJSON(t *testing.T, r *Record) {
	t.Helper()
	want, refusal := asJSON(r)
	got, err := r.AppendJSON([]byte("before"))
	if (err == nil) != (refusal == nil) {
		t.Fatalf("%v, and encoding/json says %v", err, refusal)
	}
	if err == nil && string(got) != "before"+string(want) {
		t.Errorf("%s\n%s", got, want)
	}
}

func TestAppendJSON(t *testing.T) {
	now := time.Now()
	one, big := uint64(1), uint64(math.MaxUint64)
	addresses := []netip.Addr{{}, netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1"),
		netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("fe80::1%eth\"0\xff")}
	for i, f := range []float64{0, math.Copysign(0, -1), 1e-9, 1e-10, 9.99e-7, 1e-6, 0.001, 12.5, 1e20, 1e21, -1e-7, math.Inf(1), math.NaN()} {
		a := addresses[i%len(addresses)]
		wantJSON(t, &Record{Time: now, Event: Closed, Protocol: TCP, LocalAddress: a, LocalPort: 1, RemoteAddress: a, RemotePort: 65535,
			Process: Process{PID: 7, Name: "a<b>&\u2028\x01\x7f\xff", Exe: "/bin/\"x\"\\", UID: math.MaxUint32, User: "ü"}, Cookie: big, Socket: 3,
			NetNS: 4, Cgroup: "/a", State: "LISTEN", BytesSent: &one, BytesReceived: &big, Seconds: &f, OpenedBy: 5, AcceptedBy: -6, LastUsedBy: 7,
			Reason: "why", Lost: big})
	}
	wantJSON(t, &Record{})
	wantJSON(t, &Record{Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)})
	wantJSON(t, &Record{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
	wantJSON(t, &Record{Time: now.In(time.FixedZone("far", 30*60*60)), Event: Gap})
	wantJSON(t, &Record{Time: now.In(time.FixedZone("odd", 5*60*60+1800+7)), Event: Gap})
}

func FuzzAppendJSON(f *testing.F) {
	f.Add(int64(1), 3600, "close", "tcp", []byte{127, 0, 0, 1}, uint16(1), 2, "name", "/exe", uint32(3), uint64(4), uint64(5), 0.25)
	f.Add(int64(math.MaxInt64), -1, "", "\xff", make([]byte, 16), uint16(0), -2, "\u2029", "<", uint32(0), uint64(0), uint64(0), 1e-9)
	f.Fuzz(func(t *testing.T, at int64, zone int, what, protocol string, address []byte, port uint16, pid int, name, exe string, uid uint32,
		number, lost uint64, seconds float64) {
		a, _ := netip.AddrFromSlice(address)
		if a.Is6() {
			a = a.WithZone(protocol)
		}
		r := Record{Time: time.Unix(0, at).In(time.FixedZone("", zone%(100*60*60))), Event: Event(what), Protocol: Protocol(protocol), LocalAddress: a,
			LocalPort: port, RemoteAddress: a.Unmap(), RemotePort: port, Process: Process{PID: pid, Name: name, Exe: exe, UID: uid, User: name},
			Cookie: number, Socket: lost, NetNS: number, Cgroup: exe, State: what, OpenedBy: pid, AcceptedBy: pid, LastUsedBy: pid,
			Reason: name + exe, Lost: lost}
		if number > 0 {
			r.BytesSent, r.BytesReceived, r.Seconds = &number, &lost, &seconds
		}
		wantJSON(t, &r)
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	sent, seconds := uint64(1234), 0.0123
	r := Record{Time: time.Now(), Event: Closed, Protocol: TCP, LocalAddress: netip.MustParseAddr("127.0.0.1"), LocalPort: 50000,
		RemoteAddress: netip.MustParseAddr("127.0.0.1"), RemotePort: 443, Process: Process{PID: 12345, Name: "nginx", Exe: "/usr/sbin/nginx",
			UID: 33, User: "www-data"}, Cookie: 123456, Socket: 7654, NetNS: 4026531840, Cgroup: "/system.slice/nginx.service", BytesSent: &sent,
		BytesReceived: &sent, Seconds: &seconds, OpenedBy: 44}
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text, _ = r.AppendJSON(text[:0])
	}
}
