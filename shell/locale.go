package shell

import (
	"cmp"
	"strings"
)

// ASCIIOnly reports whether a terminal shows only ASCII characters, judged by its environment: its
// locale (locale(7); the first variable that is set counts) is C or POSIX, or has another codeset
// than UTF-8, or its type is dumb. If nothing is known, as without a terminal or from a client that
// sends no locale, it assumes UTF-8.
func ASCIIOnly(environment func(name string) string) bool {
	locale := cmp.Or(environment("LC_ALL"), environment("LC_CTYPE"), environment("LANG"))
	if locale == "" {
		return environment("TERM") == "dumb"
	}
	locale, _, _ = strings.Cut(locale, "@")
	_, codeset, _ := strings.Cut(locale, ".")
	return !strings.EqualFold(codeset, "UTF-8") && !strings.EqualFold(codeset, "utf8")
}
