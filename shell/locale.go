package shell

import (
	"cmp"
	"strings"
)

// ASCIIOnly tells from its environment that a terminal shows no characters but those of ASCII: its locale (locale(7), of which the first
// that is set counts) is C or POSIX, or has another codeset than UTF-8, or else its type is dumb. Where nothing is known, as without a
// terminal or from a client that sends no locale, UTF-8 is understood.
func ASCIIOnly(environment func(name string) string) bool {
	locale := cmp.Or(environment("LC_ALL"), environment("LC_CTYPE"), environment("LANG"))
	if locale == "" {
		return environment("TERM") == "dumb"
	}
	locale, _, _ = strings.Cut(locale, "@")
	_, codeset, _ := strings.Cut(locale, ".")
	return !strings.EqualFold(codeset, "UTF-8") && !strings.EqualFold(codeset, "utf8")
}
