package dns

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// forLookup converts a name with letters beyond ASCII for lookup: mapped by UTS 46, checked by RFC
// 5891, section 5. It leaves the rules of host names to the caller: names such as _sip._tcp are
// looked up too. It allows hyphens where browsers do.
var forLookup = idna.New(idna.MapForLookup(), idna.CheckJoiners(true), idna.BidiRule(), idna.CheckHyphens(false),
	idna.StrictDomainName(false))

// forDisplay is forLookup without mapping, for names that come from the DNS.
var forDisplay = idna.New(idna.MapForLookup(), idna.CheckJoiners(true), idna.BidiRule(), idna.CheckHyphens(false),
	idna.StrictDomainName(true))

// A NameError says why the DNS cannot have such a name. It matches ErrName.
type NameError struct {
	Name   string // as given; any text
	Reason string // a sentence without its full stop and without any part of Name
}

func (e *NameError) Error() string { return fmt.Sprintf("%q is no name: %s", e.Name, e.Reason) }

// Is makes it match ErrName.
func (e *NameError) Is(target error) bool { return target == ErrName }

// ASCII returns a name as the DNS has it: labels with letters beyond ASCII become xn--... (RFC
// 5891). A name of ASCII is returned unchanged. The error is a *NameError.
func ASCII(name string) (string, error) {
	if isASCII(name) {
		return name, nil
	}
	if !utf8.ValidString(name) {
		return "", &NameError{name, "It is no valid UTF-8"}
	}
	ascii, err := forLookup.ToASCII(name)
	// StrictDomainName(false) lets characters of ASCII through that others were mapped to, such as
	// the full-width space.
	if err == nil && isASCII(ascii) &&
		!strings.ContainsFunc(ascii, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return ascii, nil
	}
	return "", &NameError{name, idnReason(name)}
}

// idnReason says which label of a name IDNA does not allow.
func idnReason(name string) string {
	labels := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(".\u3002\uff0e\uff61", r) })
	for i, label := range labels {
		if isASCII(label) {
			continue
		}
		if ascii, err := forLookup.ToASCII(label); err != nil || !isASCII(ascii) {
			return fmt.Sprintf(
				"Its part %d has characters, or an order of them, that names of other languages may not have (IDNA "+
					"2008)", i+1)
		}
	}
	return "It mixes directions of writing, or has characters, as names of other languages may not (IDNA 2008)"
}

// Unicode decodes the xn--... labels of a name. It reports false if there are none, or if ASCII
// would not encode the result to the same name. So a name that imitates another is shown as it is
// on the wire.
func Unicode(name string) (text string, ok bool) {
	if !isASCII(name) || !strings.Contains(strings.ToLower(name), "xn--") {
		return name, false
	}
	labels := strings.Split(name, ".")
	for i, label := range labels {
		if len(label) < 4 || !strings.EqualFold(label[:4], "xn--") {
			continue
		}
		text, err := forDisplay.ToUnicode(label)
		if err != nil {
			return name, false
		}
		if labels[i] = text; strings.Contains(text, ".") {
			return name, false
		}
	}
	text = strings.Join(labels, ".")
	if again, err := ASCII(text); err != nil || !strings.EqualFold(again, name) {
		return name, false
	}
	return text, true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
