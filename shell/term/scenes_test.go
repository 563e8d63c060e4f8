package term

import (
	"fmt"
	"strings"
)

// scenes are what a child plays for the tests.
var scenes = map[string]func(*Terminal){
	"echo": func(t *Terminal) { repeat(t, Line{Prompt: "h> "}) },
}

// repeat answers every line with itself until one ends the scene.
func repeat(t *Terminal, l Line) {
	for {
		text, err := t.ReadLine(l)
		switch {
		case err == ErrInterrupted:
			t.WriteString("interrupted\n")
		case err != nil:
			t.WriteString("end: " + err.Error() + "\n")
			return
		case text == "exit":
			return
		default:
			fmt.Fprintf(t, "[%s]\n", text)
		}
		l.History = append(l.History, strings.Fields(text)...)
	}
}
