package ports

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// What is given goes before what there is, also an empty list and a no that were given by name.
func TestPartialLogOver(t *testing.T) {
	base := LogOptions{Selection: Selection{Ports: []string{"25"}, Users: []string{"ann"}}, Format: BothFormats, Coalesce: true,
		SizeBytes: 64 << 20, Days: 3, Persistent: true}
	if got := (PartialLog{}).Over(base); !reflect.DeepEqual(got, base) {
		t.Errorf("nothing given: %+v", got)
	}
	given := PartialLog{Given: []string{"ports", "COALESCE", "days", "sizebytes", "defaults"}}
	given.SizeBytes, given.Format = 128<<20, NDJSON
	got := given.Over(base)
	want := base
	want.Ports, want.Coalesce, want.Days, want.SizeBytes, want.Format = nil, false, 0, 128<<20, NDJSON
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestLogOptionsCheck(t *testing.T) {
	if err := FirstLogOptions().Check(); err != nil {
		t.Error(err)
	}
	for member, o := range map[string]LogOptions{
		"format":    {Format: "csv", SizeBytes: LeastLogBytes},
		"sizeBytes": {SizeBytes: LeastLogBytes - 1},
		"days":      {SizeBytes: LeastLogBytes, Days: 3651},
	} {
		var wrong *LogOptionError
		if err := o.Normal().Check(); !errors.As(err, &wrong) || wrong.Member != member {
			t.Errorf("%s: %v", member, err)
		}
	}
	if o := (LogOptions{Days: -1}).Normal(); o.Days != 0 || o.Format != NDJSON || o.Events == nil {
		t.Errorf("%+v", o)
	}
}

// Whatever users write as a selection is refused with the member and the value that is wrong, or
// makes a filter that does not fail.
func FuzzSelection(f *testing.F) {
	f.Add("curl,42", "root,0", "25,80-90", "192.0.2.0/24,::1,[2001:db8::1]", "close")
	f.Add("\x00\xff", "-1", "0,65536,-,1-,-1,9-8", "fe80::1%eth0,1.2.3.4/33,/,::ffff:1.2.3.4/96", "stop,")
	f.Fuzz(func(t *testing.T, processes, users, ports, addresses, events string) {
		cut := func(s string) []string { return strings.Split(s, ",") }
		filter, err := Selection{cut(processes), cut(users), cut(ports), cut(addresses), cut(events)}.Filter()
		if err != nil {
			var wrong *SelectionError
			if !errors.As(err, &wrong) || wrong.Member == "" || wrong.Wants == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, r := range []Record{{}, {Event: Closed, LocalPort: 25, LocalAddress: netip.MustParseAddr("192.0.2.7"), Process: Process{PID: 42, Name: processes, User: users}}} {
			filter.Match(&r)
		}
		if !filter.Match(&Record{Event: Gap}) {
			t.Error("a gap is left out")
		}
	})
}
