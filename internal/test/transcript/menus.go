package transcript

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"diagsh/internal/menu"
)

// menuRow stands for the rows of a menu in the transcripts of others, so that a new command changes
// none of them.
const menuRow = "<menu>"

// menuTranscript is the name of the transcript of a menu that is a folder, beside its menu.go. A
// menu that is a file has its name.
const menuTranscript = "menu"

// menus knows the rows of all menus of a tree, and the menus that a transcript is about.
type menus struct {
	rows map[string][]string // of a row in its plain form, the paths of the menus that list it
	own  []string            // paths of the menus whose rows stay
}

// newMenus reads a tree. folder is that of the tests; the part after "commands" is a path in the
// tree. name is the transcript's.
func newMenus(tree []menu.Node, folder, name string) menus {
	m := menus{rows: map[string][]string{}}
	for _, n := range tree {
		above, word := "", n.Path
		if at := strings.LastIndexByte(n.Path, ' '); at >= 0 {
			above, word = n.Path[:at], n.Path[at+1:]
		}
		for _, row := range []string{"- " + strings.ToUpper(word) + " - " + n.Help, word + "  " + n.Help, "#. " + n.Help} {
			m.rows[row] = append(m.rows[row], above)
		}
	}
	folder = filepath.ToSlash(folder)
	_, below, found := strings.Cut(folder[strings.LastIndex(folder, "/commands")+1:], "commands")
	if strings.LastIndex(folder, "/commands") < 0 || !found {
		return m
	}
	words := strings.FieldsFunc(below, func(r rune) bool { return r == '/' })
	word, _, _ := strings.Cut(name, "-") // a menu that is a file can have several transcripts
	m.own = []string{strings.Join(append(slices.Clone(words), word), " ")}
	if name == menuTranscript {
		m.own = append(m.own, strings.Join(words, " "))
	}
	return m
}

var (
	columnGap = regexp.MustCompile(`^ *(\S+) {2,}`)
	rowNumber = regexp.MustCompile(`^\d+\. `)
	begunWord = regexp.MustCompile(`\S(?:<Tab>|<\?>)$`)                  // typed, and then completed
	shellRow  = regexp.MustCompile(`^  (?:help|terminal|exit|quit) +\S`) // after the rows of a menu
)

// plainRow is a row as menus.rows has it: without the mark of standard error, in columns two blanks
// apart, without its number.
func plainRow(line string) string {
	line = strings.TrimPrefix(line, "! ")
	return rowNumber.ReplaceAllString(columnGap.ReplaceAllString(line, "$1  "), "#. ")
}

// at returns how many lines the row takes that begins at the first one, because a narrow window
// breaks it, and the menus that list it; none if it is no row.
func (m menus) at(lines []string) (n int, paths []string) {
	text := ""
	for n, line := range lines {
		text = strings.TrimLeft(text+" "+strings.TrimLeft(plainRow(line), " "), " ")
		if paths := m.rows[text]; paths != nil {
			return n + 1, paths
		}
		begins := false
		for row := range m.rows {
			begins = begins || strings.HasPrefix(row, text+" ")
		}
		if !begins || text == "" {
			break
		}
	}
	return 0, nil
}

// fold puts menuRow in the place of each list of rows that only menus of other transcripts have.
// What completes a word stays: which rows are listed is what such a line shows.
func (m menus) fold(lines []string) []string {
	var folded []string
	for i := 0; i < len(lines); {
		n, paths := m.at(lines[i:])
		end := i + n
		for n > 0 {
			next, more := m.at(lines[end:])
			common := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !slices.Contains(more, p) })
			if next == 0 || len(common) == 0 {
				break
			}
			end, paths = end+next, common
		}
		switch {
		case n == 0:
			folded = append(folded, lines[i])
			i++
			continue
		case i > 0 && begunWord.MatchString(lines[i-1]):
			folded = append(folded, lines[i:end]...)
		case slices.ContainsFunc(paths, func(p string) bool { return slices.Contains(m.own, p) }):
			folded = append(folded, lines[i:end]...)
		case strings.HasPrefix(lines[i], "! "):
			folded = append(folded, "! "+menuRow)
		default:
			folded = append(folded, menuRow)
			for end < len(lines) && shellRow.MatchString(lines[end]) {
				end++ // its column is as wide as the menu's longest word
			}
		}
		i = end
	}
	return folded
}
