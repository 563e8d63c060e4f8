// Package config has the types of the configuration that users change by commits: the document, its
// changes and faults, and the commit. It reads and writes the document's text and knows its schema.
// It changes nothing on the machine.
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
	Name    string // of the object, in a section with named ones
	Field   string // of the object
}

// String returns the path as messages have it: interfaces.eth0.mtu.
func (p Path) String() string {
	if p.Name == "" {
		return p.Section
	}
	return p.Section + "." + p.Name + "." + p.Field
}

// Word returns the setting's own word, the last of its path.
func (p Path) Word() string {
	if p.Field != "" {
		return p.Field
	}
	return p.Section
}

// Argument returns the parameter of a command that changes the setting.
func (p Path) Argument() string {
	switch p {
	case ParentOf(p.Name):
		return "interface"
	case IDOf(p.Name):
		return "vlan"
	case Loopback:
		return "address"
	case ACMEDirectory, ACMENames, ACMEContact, ACMEAuthority:
		return strings.ToLower(strings.TrimPrefix(p.Section, "acme"))
	}
	return p.Word()
}

// A Document is a configuration: the settings that users have made, in the form of the schema.
// Missing settings are as the machine, or the host configuration, has them. The empty document is
// the factory's.
type Document map[Path]string

// Clone copies a document.
func (d Document) Clone() Document {
	if d == nil {
		return Document{}
	}
	return maps.Clone(d)
}

// Equal reports whether two documents have the same settings.
func (d Document) Equal(o Document) bool { return maps.Equal(d, o) }

// Paths returns the settings in the order of the schema, objects by name.
func (d Document) Paths() []Path {
	return slices.SortedFunc(maps.Keys(d), comparePaths)
}

func comparePaths(a, b Path) int {
	return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.Name, b.Name),
		cmp.Compare(fieldPlace(a), fieldPlace(b)))
}

// Set sets a setting, or removes it if value is empty.
func (d Document) Set(p Path, value string) {
	if value == "" {
		delete(d, p)
		return
	}
	d[p] = value
}

// MTUOf, MediaOf and the others return the paths of settings.
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

	// Certificate is the fingerprint of the one that clients of HTTPS are shown, or ByACME. Without
	// it, that is the one that the appliance made itself.
	Certificate = Path{Section: "certificate"}
	// ACMEDirectory and the others say how a certificate ByACME is fetched.
	ACMEDirectory = Path{Section: "acmeDirectory"}
	ACMENames     = Path{Section: "acmeNames"}
	ACMEContact   = Path{Section: "acmeContact"}
	ACMEAuthority = Path{Section: "acmeAuthority"}
)

// ByACME is the value of Certificate for the one that a CA gives by ACME.
const ByACME = "acme"

// Values of MulticastARP.
const (
	Accept = "accept"
	Reject = "reject"
)

// MTU returns the MTU that the document sets for a link, or 0.
func (d Document) MTU(name string) int {
	n, _ := strconv.Atoi(d[MTUOf(name)])
	return n
}

// A VLAN is a VLAN that the document defines.
type VLAN struct {
	Name   string `json:"name"`
	Parent string `json:"interface"`
	ID     int    `json:"vlan"`
}

// VLANs returns the VLANs of the document, sorted by name.
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

// VLAN returns the one with a name.
func (d Document) VLAN(name string) (VLAN, bool) {
	parent, ok := d[ParentOf(name)]
	id, _ := strconv.Atoi(d[IDOf(name)])
	return VLAN{name, parent, id}, ok
}

// SetVLAN adds a VLAN, or changes it.
func (d Document) SetVLAN(v VLAN) {
	d[ParentOf(v.Name)], d[IDOf(v.Name)] = v.Parent, strconv.Itoa(v.ID)
}

// DeleteVLAN removes a VLAN and the settings of its interface.
func (d Document) DeleteVLAN(name string) {
	maps.DeleteFunc(d, func(p Path, _ string) bool { return p.Name == name })
}

// A Change is a setting that differs between two documents.
type Change struct {
	Path    Path   `json:"-"` // lost if a change went through JSON
	Setting string `json:"setting"`
	Before  string `json:"before,omitempty"` // empty: it was not set
	After   string `json:"after,omitempty"`  // empty: it is not set any more
	// TakenBack says, of a pending change, that the setting is back at its committed value, so that
	// nothing is pending any more.
	TakenBack bool `json:"takenBack,omitempty"`
}

// Is reports whether a change is to a setting, or to an object's setting: vlans.eth0.34. Empty
// means all.
func (c Change) Is(setting string) bool {
	return setting == "" || strings.EqualFold(c.Setting, setting) || len(c.Setting) > len(setting) &&
		strings.EqualFold(c.Setting[:len(setting)+1], setting+".")
}

// Changes returns what must change in one document to make it the other.
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

// With returns the document with changes applied.
func (d Document) With(changes []Change) Document {
	changed := d.Clone()
	for _, c := range changes {
		changed.Set(c.Path, c.After)
	}
	return changed
}
