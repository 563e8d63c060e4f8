package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error says what is wrong with an expression and where.
type Error struct {
	Expression string
	Position   int    // byte offset into Expression of the word that is wrong
	Message    string // what is wrong, and what is accepted there
	Hint       string // a suggestion such as `did you mean "port"?`, or empty
	TooLarge   bool   // nothing is wrong but that the program would be too large
	RejectsAll bool   // nothing is wrong but that no packet can match
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "position %d: %s", e.Position+1, e.Message)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// suggestion returns a hint for a word that looks like a mistyped keyword.
func suggestion(word string) string {
	words := keywordList()
	for _, n := range namedNumbers {
		words = append(words, n.name)
	}
	if k := nearest(word, words); k != "" {
		return fmt.Sprintf("did you mean %q?", k)
	}
	return ""
}

// nearest returns the candidate that word was most likely meant to be, or "" when none is close:
// one slip in a short word, two in one of six letters or more. Swapping two neighbours is one slip.
func nearest(word string, candidates []string) string {
	limit := 1
	if len(word) >= 6 {
		limit = 2
	}
	if len(word) < 2 || len(word) > 24 {
		return ""
	}
	best, bestDistance := "", limit+1
	lower := strings.ToLower(word)
	for _, c := range candidates {
		if c == word || len(c) > len(word)+limit || len(word) > len(c)+limit {
			continue
		}
		if d := slips(lower, c); d < bestDistance || d == bestDistance && closer(lower, c, best) {
			best, bestDistance = c, d
		}
	}
	if bestDistance > limit {
		return ""
	}
	return best
}

// closer decides between two candidates with as many slips: the first letter is seldom wrong.
// Otherwise the first in the list stays.
func closer(word, c, best string) bool {
	return best == "" || c[0] == word[0] && best[0] != word[0]
}

// slips returns the restricted edit distance (insert, delete, replace, swap neighbours).
func slips(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, now := rows[0], rows[1], rows[2]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			now[j] = d
		}
		rows[0], rows[1], rows[2] = last, now, before
	}
	return rows[1][len(b)]
}

// Character returns the place of the error counted in characters, the first being 1.
func (e *Error) Character() int {
	return utf8.RuneCountInString(e.Expression[:min(e.Position, len(e.Expression))]) + 1
}

// caught ends a panic with an *Error, as the parser and the generator raise it. It is deferred.
func caught(err **Error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
	default:
		panic(r)
	}
}
