package dns

import (
	"errors"
	"strings"
	"testing"
)

// The expected forms are those of Python's idna and of libidn2's idn2.
func TestNamesOfOtherLanguages(t *testing.T) {
	for name, want := range map[string]string{
		"example.test":           "example.test",
		"ExAmple.TEST.":          "ExAmple.TEST.",
		"_sip._tcp.münchen.test": "_sip._tcp.xn--mnchen-3ya.test",
		"MÜNCHEN.test.":          "xn--mnchen-3ya.test.",
		"mu\u0308nchen.test":     "xn--mnchen-3ya.test", // decomposed
		"straße.test":            "xn--strae-oqa.test",  // not strasse: IDNA 2008
		"例え。テスト":                 "xn--r8jz45g.xn--zckzah",
		"пример.испытание":       "xn--e1afmkfd.xn--80akhbyknj4f",
		"مثال.إختبار":            "xn--mgbh0fb.xn--kgbechtv",
		"xn--mnchen-3ya.test":    "xn--mnchen-3ya.test",
		"xn--zz--bad.test":       "xn--zz--bad.test", // ASCII is asked for as it is
		"１２７.0.0.1":              "127.0.0.1",
		"r3---sn-a.ü.test":       "r3---sn-a.xn--tda.test",
		`a\.b.test`:              `a\.b.test`,
	} {
		if got, err := ASCII(name); err != nil || got != want {
			t.Errorf("ASCII(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, part := range map[string]string{
		"a.\ufffd.test": "part 2",
		"\xfcn.test":    "UTF-8",
		"ü\u200d.test":  "part 1", // a joiner where it joins nothing (RFC 5892, appendix A)
		"ab\u05d0.test": "part 1", // letters of both directions (RFC 5893)
		"ü\u3000x.test": "",       // a space after mapping
	} {
		got, err := ASCII(name)
		var wrong *NameError
		if !errors.As(err, &wrong) || !errors.Is(err, ErrName) || !strings.Contains(wrong.Reason, part) {
			t.Errorf("ASCII(%q) = %q, %v; want an error that says %q", name, got, err, part)
		}
	}
	for name, want := range map[string]string{
		"xn--mnchen-3ya.test.":     "münchen.test.",
		"XN--MNCHEN-3YA.test":      "münchen.test",
		"_a.xn--strae-oqa.test":    "_a.straße.test",
		"xn--zz--bad.test":         "",
		"xn--.test":                "",
		"xn--a.test":               "",
		"example.test":             "",
		"xn--a-ecp.ru":             "", // U+1680, a space, in disguise
		`\195\188.xn--mnchen-3ya.`: `\195\188.münchen.`,
	} {
		got, ok := Unicode(name)
		if ok != (want != "") || ok && got != want {
			t.Errorf("Unicode(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}

// FuzzIDN: any question reaches a name server as ASCII, and any name from a server is shown as a
// name that leads back to it.
func FuzzIDN(f *testing.F) {
	for _, s := range []string{"münchen.test", "xn--mnchen-3ya.test", "a..b", "\xff.", "例え。テスト", "xn--\x00",
		"ü\u202e.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if ascii, err := ASCII(name); err == nil && !isASCII(ascii) {
			t.Errorf("ASCII(%q) = %q", name, ascii)
		}
		if text, ok := Unicode(name); ok {
			if ascii, err := ASCII(text); err != nil || !strings.EqualFold(ascii, name) {
				t.Errorf("Unicode(%q) = %q, which leads to %q, %v", name, text, ascii, err)
			}
		}
	})
}

// A name that is too long only as the DNS has it is refused in words that say so: its user counts
// the letters of the language.
func TestTooLongAsTheDNSHasIt(t *testing.T) {
	for name, xn := range map[string]bool{
		strings.Repeat("a", 64) + ".test":     false,
		strings.Repeat("漢ü語ж中", 10) + ".test": true,
	} {
		_, err := whole(name)
		var wrong *NameError
		if !errors.As(err, &wrong) || strings.Contains(wrong.Reason, "xn--") != xn {
			t.Errorf("whole(%q) = %v", name, err)
		}
	}
}
