package words

import "strings"

// Nearest returns the name that word most likely meant, or "" if none is near: at most two letters
// (one in short words) left out, added, changed or swapped.
func Nearest(word string, names []string) string {
	word = strings.ToLower(word)
	limit := 2
	if len(word) < 5 {
		limit = 1
	}
	if len(word) > 40 {
		return ""
	}
	best, at := limit+1, ""
	for _, n := range names {
		if d := distance(word, strings.ToLower(n)); d < best {
			best, at = d, n
		}
	}
	return at
}

// distance returns the optimal string alignment distance.
func distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}
