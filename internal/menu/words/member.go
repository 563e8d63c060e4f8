package words

import (
	"strings"
	"unicode"
)

// OfMember returns the name of a JSON member in words: durationSeconds is "Duration", since what shows it
// says the unit.
func OfMember(member string) string {
	for _, unit := range []string{"Seconds", "Bytes", "Time"} {
		if rest, found := strings.CutSuffix(member, unit); found && rest != "" {
			member = rest
			break
		}
	}
	var b strings.Builder
	for i, r := range member {
		switch {
		case i == 0:
			b.WriteRune(unicode.ToUpper(r))
		case unicode.IsUpper(r):
			b.WriteRune(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
