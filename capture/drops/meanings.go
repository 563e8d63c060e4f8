package drops

import (
	"fmt"
	"strings"
)

// Meanings say of reasons what they mean and what to do, each in a sentence.
type Meanings map[string]string

// ParseMeanings parses the catalogue: a reason and its sentence a line, # begins a comment.
func ParseMeanings(text string) (Meanings, error) {
	m := Meanings{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		reason, sentence, _ := strings.Cut(line, " ")
		if sentence = strings.TrimSpace(sentence); sentence == "" || m[reason] != "" {
			return nil, fmt.Errorf("line %d: a reason that is not listed yet and a sentence are wanted", number)
		}
		m[reason] = sentence
	}
	return m, nil
}
