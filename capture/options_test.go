package capture_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/capture/tuples"
)

// Each member of Options is an argument, and has the name of its member in JSON.
func TestOptionsAreArguments(t *testing.T) {
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type)
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			argument, is := f.Tag.Lookup("arg")
			if own, _, _ := strings.Cut(argument, ","); name == "" || !is || own != "" || f.Tag.Get("help") == "" {
				t.Errorf("%s has the tags %s; it needs json, help, and an arg without a name of its own", f.Name, f.Tag)
			}
		}
	}
	walk(reflect.TypeFor[capture.Options]())
}

func TestPartialOver(t *testing.T) {
	ring := capture.Options{Interfaces: []string{"ALL"}, Filter: "port 25", SnapLength: 96, Mode: capture.Ring,
		Promiscuous: true, Rotation: capture.Rotation{FileSeconds: 60, KeepFiles: 5},
		Limits: capture.Limits{SizeBytes: 1 << 30, Files: 9}}
	for name, c := range map[string]struct {
		given capture.Partial
		want  func(o *capture.Options)
	}{
		"nothing": {capture.Partial{}, func(*capture.Options) {}},
		"values": {capture.Partial{Options: capture.Options{Interfaces: []string{"eth0"}, Limits: capture.Limits{Packets: 3}}}, func(o *capture.Options) {
			o.Interfaces, o.Limits.Packets = []string{"eth0"}, 3
		}},
		"zeros": {capture.Partial{Given: []string{"filter", "snaplength", "promiscuous", "sizeBytes", "name"}}, func(o *capture.Options) {
			o.Filter, o.SnapLength, o.Promiscuous, o.Limits.SizeBytes = "", 0, false, 0
		}},
		"zeros that are not given": {capture.Partial{Options: capture.Options{Comment: "x"}},
			func(o *capture.Options) { o.Comment = "x" }},
		"a part of the rotation": {capture.Partial{Options: capture.Options{Rotation: capture.Rotation{KeepFiles: 7}}},
			func(o *capture.Options) { o.Rotation.KeepFiles = 7 }},
		"another mode": {capture.Partial{Options: capture.Options{Mode: capture.Single}}, func(o *capture.Options) {
			o.Mode, o.Rotation, o.Limits.Files = capture.Single, capture.Rotation{}, 0
		}},
		"a mode that counts files": {capture.Partial{Options: capture.Options{Mode: capture.Circular}}, func(o *capture.Options) {
			o.Mode, o.Rotation = capture.Circular, capture.Rotation{}
		}},
		"a mode and what is of another": {capture.Partial{Options: capture.Options{Mode: capture.Append,
			Rotation: capture.Rotation{KeepFiles: 2}, Limits: capture.Limits{Files: 2}}},
			func(o *capture.Options) {
				o.Mode, o.Rotation, o.Limits.Files = capture.Append, capture.Rotation{KeepFiles: 2}, 2 // which Check refuses
			}},
	} {
		want := ring
		c.want(&want)
		if got := c.given.Over(ring); !reflect.DeepEqual(got, want) {
			t.Errorf("%s makes\n%+v; want\n%+v", name, got, want)
		}
	}
	single := capture.Options{Mode: capture.Single}
	asked := capture.Partial{Options: capture.Options{Rotation: capture.Rotation{FileBytes: 1 << 20}}}
	if got := asked.Over(single); got.Mode != capture.Ring || got.Rotation.FileBytes != 1<<20 {
		t.Errorf("what belongs to rings makes %+v", got)
	}
	if p := (capture.Partial{Options: capture.Options{SnapLength: 1},
		Given: []string{"FILTER"}}); !p.Gives("snapLength") || !p.Gives("filter") || p.Gives("comment") {
		t.Error("what is given is not known")
	}
}

func TestNormalOptions(t *testing.T) {
	got := capture.Options{Filter: " port 25 ",
		Limits: capture.Limits{SizeBytes: -1, DurationSeconds: -1, Packets: -1, Files: -1}}.Normal()
	want := capture.Options{Filter: "port 25", Limits: capture.Limits{SizeBytes: -1}, Direction: capture.Both,
		OnInterfaceGone: capture.GoneEnds, Precision: capture.Nanosecond, Mode: capture.Single, Rings: 1, CPUs: []int{}, Filters: tuples.List{}}
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(got.Normal(), want) {
		t.Errorf("%+v; want %+v", got, want)
	}
}

// Processes are said by comments of packets: a capture that keeps them is pcapng, and pcap is
// refused.
func TestProcessesNeedPCAPNG(t *testing.T) {
	spec := capture.Spec{Options: capture.Options{Interfaces: []string{"eth0"}, Processes: true, Limits: capture.Limits{SizeBytes: capture.Unlimited}}}
	if got := spec.FileFormat(1); got != capture.PCAPNG {
		t.Errorf("its format is %s", got)
	}
	if err := spec.Check(); err != nil {
		t.Error(err)
	}
	spec.Format = capture.PCAP
	var wrong *capture.SpecError
	if err := spec.Check(); !errors.As(err, &wrong) || wrong.Member != "processes" {
		t.Errorf("with pcap: %v", err)
	}
}
