// Package config is the vocabulary of the configuration that people change by commits: the document, what a change and a fault of it
// are, and what a commit is. It reads and writes the document's text and knows its schema; it changes nothing of the machine.
package config

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Path names a setting: hostname, or mtu of eth0 in interfaces.
type Path struct {
	Section string
	Name    string // of the object in a section that has named ones
	Field   string // of the object
}

// String writes the path as messages have it: interfaces.eth0.mtu.
func (p Path) String() string {
	if p.Name == "" {
		return p.Section
	}
	return p.Section + "." + p.Name + "." + p.Field
}

// Word is the setting's own word, the last of its path.
func (p Path) Word() string {
	if p.Field != "" {
		return p.Field
	}
	return p.Section
}

// Argument is the parameter of a command that changes the setting.
func (p Path) Argument() string {
	switch p {
	case ParentOf(p.Name):
		return "interface"
	case IDOf(p.Name):
		return "vlan"
	case Loopback:
		return "address"
	}
	return p.Word()
}

// A Document is a configuration: the settings that somebody has made, in the form that the schema gives them. What is not there is as
// the machine, or the file of its owner, has it. The empty document is the factory's.
type Document map[Path]string

// Clone copies a document.
func (d Document) Clone() Document {
	if d == nil {
		return Document{}
	}
	return maps.Clone(d)
}

// Equal reports whether two documents say the same.
func (d Document) Equal(o Document) bool { return maps.Equal(d, o) }

// Paths lists the settings in the order of the schema, objects by name.
func (d Document) Paths() []Path {
	return slices.SortedFunc(maps.Keys(d), comparePaths)
}

func comparePaths(a, b Path) int {
	return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.Name, b.Name), cmp.Compare(fieldPlace(a), fieldPlace(b)))
}

// Set gives a setting a value, or with an empty one takes it away.
func (d Document) Set(p Path, value string) {
	if value == "" {
		delete(d, p)
		return
	}
	d[p] = value
}

// MTUOf, MediaOf and the others are the paths of settings.
func MTUOf(name string) Path   { return Path{"interfaces", name, "mtu"} }
func MediaOf(name string) Path { return Path{"interfaces", name, "media"} }
func ParentOf(vlan string) Path {
	return Path{"vlans", vlan, "parent"}
}
func IDOf(vlan string) Path { return Path{"vlans", vlan, "id"} }

var (
	Hostname     = Path{Section: "hostname"}
	Banner       = Path{Section: "banner"}
	Welcome      = Path{Section: "welcome"}
	IdleTimeout  = Path{Section: "idleTimeout"}
	Loopback     = Path{Section: "loopback"}
	MulticastARP = Path{Section: "multicastARP"}
)

// Values of MulticastARP.
const (
	Accept = "accept"
	Reject = "reject"
)

// MTU is the MTU that the document gives a link; 0 if none.
func (d Document) MTU(name string) int {
	n, _ := strconv.Atoi(d[MTUOf(name)])
	return n
}

// A VLAN is one that the document makes.
type VLAN struct {
	Name   string `json:"name"`
	Parent string `json:"interface"`
	ID     int    `json:"vlan"`
}

// VLANs lists those that the document makes, by name.
func (d Document) VLANs() []VLAN {
	var list []VLAN
	for p, parent := range d {
		if p.Section == "vlans" && p.Field == "parent" {
			id, _ := strconv.Atoi(d[IDOf(p.Name)])
			list = append(list, VLAN{p.Name, parent, id})
		}
	}
	slices.SortFunc(list, func(a, b VLAN) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// VLAN is the one of a name.
func (d Document) VLAN(name string) (VLAN, bool) {
	parent, ok := d[ParentOf(name)]
	id, _ := strconv.Atoi(d[IDOf(name)])
	return VLAN{name, parent, id}, ok
}

// SetVLAN makes a VLAN, or changes it.
func (d Document) SetVLAN(v VLAN) {
	d[ParentOf(v.Name)], d[IDOf(v.Name)] = v.Parent, strconv.Itoa(v.ID)
}

// DeleteVLAN takes a VLAN away with what is set for its interface.
func (d Document) DeleteVLAN(name string) {
	maps.DeleteFunc(d, func(p Path, _ string) bool { return p.Name == name })
}

// A Change is what a document sets otherwise than another one.
type Change struct {
	Path    Path   `json:"-"` // lost where a change went through JSON
	Setting string `json:"setting"`
	Before  string `json:"before,omitempty"` // empty: it was not set
	After   string `json:"after,omitempty"`  // empty: it is not set any more
	// TakenBack says, of a change of what is pending, that the setting is as it was committed: nothing of it is pending any more.
	TakenBack bool `json:"takenBack,omitempty"`
}

// Is reports whether a change is of a setting, or of an object whose settings it is among: vlans.eth0.34. Empty means all.
func (c Change) Is(setting string) bool {
	return setting == "" || strings.EqualFold(c.Setting, setting) || len(c.Setting) > len(setting) && strings.EqualFold(c.Setting[:len(setting)+1], setting+".")
}

// Changes lists what has to be changed in one document to make it the other.
func Changes(from, to Document) []Change {
	all := from.Clone()
	maps.Copy(all, to)
	var list []Change
	for _, p := range all.Paths() {
		if from[p] != to[p] {
			list = append(list, Change{Path: p, Setting: p.String(), Before: from[p], After: to[p]})
		}
	}
	return list
}

// With is the document with changes made on top of it.
func (d Document) With(changes []Change) Document {
	changed := d.Clone()
	for _, c := range changes {
		changed.Set(c.Path, c.After)
	}
	return changed
}
