package dns

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// forLookup is how a name of other letters than ASCII's is looked up: mapped as UTS 46 says and checked as RFC 5891, section 5. It leaves
// the rules for host names to whoever asks, because names such as _sip._tcp are asked for too, and hyphens where browsers allow them.
var forLookup = idna.New(idna.MapForLookup(), idna.CheckJoiners(true), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))

// forDisplay is forLookup for names that come from the DNS, where nothing may be mapped.
var forDisplay = idna.New(idna.MapForLookup(), idna.CheckJoiners(true), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(true))

// A NameError says why a text is no name that the DNS can have. It is an ErrName.
type NameError struct {
	Name   string // as it was given, which may be any text
	Reason string // a sentence without its full stop, without anything of Name
}

func (e *NameError) Error() string { return fmt.Sprintf("%q is no name: %s", e.Name, e.Reason) }

// Is makes it an ErrName.
func (e *NameError) Is(target error) bool { return target == ErrName }

// ASCII is a name as the DNS has it: parts with other letters than ASCII's in the form xn--... of RFC 5891. A name of ASCII alone is left
// as it is. The error is a *NameError.
func ASCII(name string) (string, error) {
	if isASCII(name) {
		return name, nil
	}
	if !utf8.ValidString(name) {
		return "", &NameError{name, "It is no valid UTF-8"}
	}
	ascii, err := forLookup.ToASCII(name)
	// StrictDomainName(false) lets characters of ASCII through that others were mapped to, such as the full-width space.
	if err == nil && isASCII(ascii) && !strings.ContainsFunc(ascii, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return ascii, nil
	}
	return "", &NameError{name, idnReason(name)}
}

// idnReason says which part of a name IDNA does not allow.
func idnReason(name string) string {
	labels := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(".\u3002\uff0e\uff61", r) })
	for i, label := range labels {
		if isASCII(label) {
			continue
		}
		if ascii, err := forLookup.ToASCII(label); err != nil || !isASCII(ascii) {
			return fmt.Sprintf("Its part %d has characters, or an order of them, that names of other languages may not have (IDNA 2008)", i+1)
		}
	}
	return "It mixes directions of writing, or has characters, as names of other languages may not (IDNA 2008)"
}

// Unicode is a name of the DNS as its owner writes it, and ok if that differs: if it has parts in the form xn--... and all of those are
// what ASCII makes of it. So a name that would be shown as another is shown as it is on the wire.
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
