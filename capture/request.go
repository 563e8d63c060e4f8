package capture

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Request asks for a capture to start. It is what the command that starts one takes as arguments.
type Request struct {
	Name string `json:"name" arg:",positional:1" help:"Name of the capture; one is made if none is given."`

	// What is not given takes the Settings' value, or with Defaults that of an appliance's first
	// Settings.
	Partial
	Defaults bool `json:"defaults" arg:"" default:"no" help:"Say yes, for programs: what is not given is as on a new appliance, and not taken from the settings."`

	Start time.Time `json:"start,omitzero" arg:"" alias:"at" help:"When to begin, such as \"2026-03-01 10:15\" (UTC); at once, if not given."`
}

// Partial is Options of which some are given: those that are not zero, and those whose zero value
// was given.
type Partial struct {
	Options
	Given []string `json:"-" arg:"*"` // names of options, in any case; others are passed over
}

// Gives reports whether an option is given, by its name in JSON.
func (p Partial) Gives(name string) bool {
	given := false
	eachOption(func(option string, index []int) {
		if strings.EqualFold(option, name) {
			given = p.gives(option, index)
		}
	})
	return given
}

func (p Partial) gives(name string, index []int) bool {
	named := slices.ContainsFunc(p.Given, func(given string) bool { return strings.EqualFold(given, name) })
	return named || !reflect.ValueOf(p.Options).FieldByIndex(index).IsZero()
}

// Over returns base with what is given in its place. A mode that is given takes away what belongs
// to another, and what belongs to rings only asks for one.
func (p Partial) Over(base Options) Options {
	from, to := reflect.ValueOf(p.Options), reflect.ValueOf(&base).Elem()
	eachOption(func(name string, index []int) {
		if p.gives(name, index) {
			to.FieldByIndex(index).Set(from.FieldByIndex(index))
		}
	})
	if p.Mode == "" && p.Rotation != (Rotation{}) {
		base.Mode = Ring
	}
	if base.Mode != Ring {
		base.Rotation = p.Rotation // which Check finds wrong unless it is empty
	}
	if !base.rotates() && p.Limits.Files == 0 {
		base.Limits.Files = 0
	}
	return base
}

// CheckFormat refuses a comment or a case number that is given for a file without a place for it.
// The error is a *SpecError.
func (p Partial) CheckFormat(f Format, hint string) error {
	switch {
	case f != PCAP:
		return nil
	case strings.TrimSpace(p.Comment) != "":
		return &SpecError{Member: "comment", Text: "a pcap file has no place for a comment", Hint: hint}
	case strings.TrimSpace(p.CaseNumber) != "":
		return &SpecError{Member: "caseNumber", Text: "a pcap file has no place for a case number", Hint: hint}
	}
	return nil
}

// eachOption calls do for each member of Options, with its name in JSON and its index.
func eachOption(do func(name string, index []int)) { eachMember(reflect.TypeFor[Options](), nil, do) }

func eachMember(t reflect.Type, outer []int, do func(name string, index []int)) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(outer), i)
		if f.Type.Kind() == reflect.Struct {
			eachMember(f.Type, index, do)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		do(name, index)
	}
}
