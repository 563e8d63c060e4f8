package shell

import (
	"strings"
	"testing"
)

func TestASCIIOnly(t *testing.T) {
	for environment, want := range map[string]bool{
		"":                                   false,
		"TERM=xterm":                         false,
		"TERM=dumb":                          true,
		"TERM=dumb LANG=C.UTF-8":             false,
		"LANG=C":                             true,
		"LANG=POSIX":                         true,
		"LANG=en_US":                         true,
		"LANG=de_DE@euro":                    true,
		"LANG=de_DE.ISO-8859-15@euro":        true,
		"LANG=de_DE.UTF-8":                   false,
		"LANG=de_DE.utf8@euro":               false,
		"LANG=de_DE.UTF-8 LC_CTYPE=C":        true,
		"LANG=de_DE.UTF-8 LC_ALL=C":          true,
		"LC_ALL=C.UTF-8 LC_CTYPE=C LANG=C":   false,
		"LANG=de_DE.UTF-8 LC_MESSAGES=POSIX": false,
	} {
		got := ASCIIOnly(func(name string) string {
			for _, variable := range strings.Fields(environment) {
				if value, ok := strings.CutPrefix(variable, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if got != want {
			t.Errorf("%q: %v", environment, got)
		}
	}
}
