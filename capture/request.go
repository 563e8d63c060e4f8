package capture

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Request asks for a capture to start. Its members are the arguments of the command that starts
// one.
type Request struct {
	Name string `json:"name" arg:",positional:1" help:"Name of the capture; one is made if none is given."`

	// An option that is not given has the value of the Settings, or with Defaults that of a new
	// appliance's Settings.
	Partial
	Defaults bool `json:"defaults" arg:"" default:"no" help:"Say yes, for programs: what is not given is as on a new appliance, and not taken from the settings."`

	Start time.Time `json:"start,omitzero" arg:"" alias:"at" help:"When to begin, such as \"2026-03-01 10:15\" (UTC); at once, if not given."`

	Delivery

	// Azure is an Azure in JSON; empty for a capture that is no resource of Azure.
	Azure string `json:"azure,omitempty" arg:",bound" group:"expert" help:"For programs: the identity of the capture as a resource of Azure, as JSON."`
}

// Partial is Options of which some are given: those that are not zero, and those that Given names.
type Partial struct {
	Options
	Given []string `json:"-" arg:"*"` // names of options, in any case; other names are ignored
}

// Gives reports whether an option is given, by its name in JSON, in any case.
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

// Over returns base, with the options that p gives in the place of its own. Options of another mode
// than the result's are dropped. A Rotation without a mode asks for the mode Ring.
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
		base.Rotation = p.Rotation // Check refuses it unless it is empty
	}
	if !base.rotates() && p.Limits.Files == 0 {
		base.Limits.Files = 0
	}
	return base
}

// Give gives an option by its name in JSON. It reports false if there is no such option, or the value
// is not one for it.
func (p *Partial) Give(name string, value json.RawMessage) bool {
	given := false
	eachOption(func(option string, index []int) {
		to := reflect.ValueOf(&p.Options).Elem().FieldByIndex(index)
		if option == name && json.Unmarshal(value, to.Addr().Interface()) == nil {
			p.Given, given = append(p.Given, option), true
		}
	})
	return given
}

// Under adds the options of other that p does not give.
func (p Partial) Under(other Partial) Partial {
	merged := Partial{Options: p.Over(other.Options), Given: slices.Clone(p.Given)}
	eachOption(func(name string, index []int) {
		if other.gives(name, index) && !merged.Gives(name) {
			merged.Given = append(merged.Given, name)
		}
	})
	return merged
}

// CheckFormat returns a *SpecError if a comment or a case number is given for a pcap file, which
// has no place for it.
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
