package packetcapture

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/tuples"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// asked keeps what a capture was asked for with.
type asked struct {
	captureService
	request  capture.Request
	settings capture.Partial
}

func (a *asked) StartCapture(_ menu.Caller, r capture.Request) (capture.Status, error) {
	a.request = r
	return capture.Status{}, nil
}

func (a *asked) SetCaptureSettings(_ menu.Caller, p capture.Partial) error {
	a.settings = p
	return nil
}

func (a *asked) CaptureInterfaces() []capture.InterfaceInfo {
	return []capture.InterfaceInfo{{Name: "eth0"}, {Name: "eth1"}}
}
func (a *asked) CheckFilter(context.Context, string) error { return nil }

func (a *asked) CaptureSettings() capture.Settings { return capture.Settings{} }

func (a *asked) Scenario(name string) (access.Scenario, error) {
	return access.Scenario{Name: name}, nil
}

type nothing struct{}

func (nothing) Form() menu.Form              { return menu.JSONForm }
func (nothing) Text([]byte) error            { return nil }
func (nothing) Record(any, menu.Shape) error { return nil }
func (nothing) Data([]byte) error            { return nil }
func (nothing) Progress(string)              {}
func (nothing) View(bool)                    {}

// startLine runs a line of packetcapture start.
func startLine(t *testing.T, line string) capture.Request {
	t.Helper()
	a := &asked{}
	m := &menu.Menu{Items: []menu.Item{startCommand(a)}}
	calls, err := m.Parse(nil, "start "+line, false, nil)
	if err == nil {
		err = m.Items[0].(*menu.Command).Run(t.Context(), menu.Caller{}, calls[0].Arguments, nil, nothing{})
	}
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	a.request.Given = nil
	return a.request
}

// Each argument has the name of its member in JSON, and the name that it had before does the same.
func TestOldNamesOfOptions(t *testing.T) {
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	had := map[string]string{}
	for _, p := range startCommand(&asked{}).Params {
		for _, alias := range p.Aliases {
			had[alias.Name] = p.Name
		}
	}
	for before, now := range map[string]string{
		"interface eth0,eth1":  "interfaces eth0,eth1",
		"size 20":              "sizebytes 20971520",
		"size 30KB":            "sizebytes 30KB",
		"size unlimited":       "sizebytes unlimited",
		"duration 5m":          "durationseconds 300",
		"count 9":              "packets 9",
		"snaplen 96":           "snaplength 96",
		"gone wait":            "oninterfacegone wait",
		"precision nanosecond": "timeprecision nanosecond",
		"filesize 3":           "filebytes 3145728",
		"filetime 90s":         "fileseconds 1m30s",
		"keep yes":             "protect yes",
		"ring 8":               "ringbytes 8MB",
		"case 4711":            "casenumber 4711",
		"at " + later:          "start " + later,
	} {
		if got, want := startLine(t, before),
			startLine(t, now); !reflect.DeepEqual(got, want) || reflect.DeepEqual(got, startLine(t, "")) {
			t.Errorf("%s is %+v; %s is %+v", before, got, now, want)
		}
		alias, _, _ := strings.Cut(before, " ")
		if name, _, _ := strings.Cut(now, " "); had[alias] != name {
			t.Errorf("%s is not named as one of %s", alias, name)
		}
		delete(had, alias)
		if alias == "size" {
			had["size"] = "sizebytes"
		}
	}
	if delete(had, "size"); len(had) > 0 {
		t.Errorf("of these nothing is known here: %v", had)
	}
}

// What is read can be written back: the settings as they are shown are arguments of setup and of
// start.
func TestSettingsCanBeWrittenBack(t *testing.T) {
	for _, s := range []capture.Options{
		capture.Options{Interfaces: []string{"ALL"}, Limits: capture.Limits{SizeBytes: 200 << 20},
			Promiscuous: true}.Normal(),
		capture.Options{
			Interfaces: []string{"eth0", "eth1"}, Filter: "host 192.0.2.1 and port 25",
			Limits:     capture.Limits{SizeBytes: capture.Unlimited, DurationSeconds: 90, Packets: 7, Files: 3},
			Management: true, SnapLength: 96, HeadersOnly: true, Direction: capture.In,
			OnInterfaceGone: capture.GoneWaits, Format: capture.PCAPNG, Precision: capture.Microsecond,
			Mode: capture.Ring, Rotation: capture.Rotation{FileBytes: 1 << 20, FileSeconds: 60, KeepFiles: 5},
			Persistent: true, Protect: true, RingBytes: 8 << 20, Rings: 2, CPUs: []int{0},
			Comment: "slow mail", CaseNumber: "4711",
			Filters: tuples.List{{Protocol: "TCP", RemotePort: "80; 443"}, {}},
			Process: "curl", Drops: true, Report: true, Processes: true, Scenario: "web",
		}.Normal(),
	} {
		shown, err := json.Marshal(capture.Settings{Options: s})
		if err != nil {
			t.Fatal(err)
		}
		a := &asked{}
		for _, c := range []*menu.Command{setupCommand(a), startCommand(a)} {
			d := json.NewDecoder(bytes.NewReader(shown))
			d.UseNumber()
			var object map[string]any
			if err := d.Decode(&object); err != nil {
				t.Fatal(err)
			}
			args, err := c.FromJSON(object)
			if err == nil {
				err = c.Run(t.Context(), menu.Caller{}, args, nil, nothing{})
			}
			if err != nil {
				t.Fatalf("%s of %s: %v", c.Name, shown, err)
			}
		}
		var full capture.Options
		fill(reflect.ValueOf(&full).Elem())
		for name, p := range map[string]capture.Partial{"setup": a.settings, "start": a.request.Partial} {
			for _, before := range []capture.Options{{}, full} {
				if got := p.Over(before).Normal(); !reflect.DeepEqual(got, s) {
					t.Errorf("%s of %s makes of %+v\n%+v", name, shown, before, got)
				}
			}
		}
	}
}

// fill gives each field of a struct a value that is not zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			fill(f)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString("9")
		case reflect.Int, reflect.Int64:
			f.SetInt(9)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		default:
			panic("no value for a " + f.Kind().String())
		}
	}
}
