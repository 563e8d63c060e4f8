package term

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"diagsh/internal/test/vt"
)

// TestPaintingInSteps: a line that was painted step by step looks as if painted at once, in any
// window, and what is above stays.
func TestPaintingInSteps(t *testing.T) {
	letters := []string{"a", "b", "-", " ", "日", "本", "é", "e\u0301", "😀", "\u0301"}
	random := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		var b strings.Builder
		for range random.IntN(n + 1) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	for range 1500 {
		width, height := 1+random.IntN(12), 1+random.IntN(5)
		steps := newPainter(width, height)
		l := line{prompt: word(6)}
		var history []line
		for range 12 {
			runes := []rune(l.text)
			switch random.IntN(6) {
			case 0, 1:
				at := random.IntN(len(runes) + 1)
				l.text = string(runes[:at]) + word(8) + string(runes[at:])
			case 2:
				at := random.IntN(len(runes) + 1)
				l.text = string(runes[at:])
			case 3:
				l.text += word(2)
			case 4:
				l.prompt = word(6)
			}
			runes = []rune(l.text)
			l.cursor = len(string(runes[:random.IntN(len(runes)+1)]))
			if random.IntN(3) == 0 {
				l.cursor = len(l.text)
			}
			history = append(history, l)
			steps.screen.show(l)

			once := newPainter(width, height)
			once.screen.show(l)
			got, want := steps.below(), once.below()
			if got != want {
				t.Fatalf("in %dx%d after %#v:\n%s\nwant:\n%s", width, height, history, got, want)
			}
		}
		if len(steps.window.Strange()) > 0 {
			t.Fatalf("strange: %s", steps.window.Strange())
		}
		if above := steps.window.All(); !strings.HasPrefix(above, "^") {
			t.Fatalf("in %dx%d, %v ate the output above it:\n%s", width, height, history, above)
		}
	}
}

// TestRowsThatUpdateInPlace: a table that is updated in place looks as if painted once, in any
// window, and the next output replaces it.
func TestRowsThatUpdateInPlace(t *testing.T) {
	tables := []string{"", "hop  ms", "hop  ms\n1  0.5\n2  1.5", "hop  ms\n1  10.5\n\n3  2.5", "hop  ms\n1  0.5"}
	for width := 1; width < 10; width++ {
		for height := 1; height < 6; height++ {
			steps := newPainter(width, height)
			for _, table := range tables {
				steps.screen.status(table)
				once := newPainter(width, height)
				once.screen.status(table)
				if got, want := strings.TrimRight(steps.window.All(), "\n"),
					strings.TrimRight(once.window.All(), "\n"); got != want {
					t.Fatalf("in %dx%d after %q:\n%s\nwant:\n%s", width, height, table, got, want)
				}
			}
			steps.screen.write([]byte("x\n"))
			if got := strings.TrimRight(steps.window.All(), "\n"); got != "^\nx" {
				t.Fatalf("in %dx%d the output behind it: %q", width, height, got)
			}
		}
	}
}

// painter is a screen whose output goes to a model terminal that shows one row of output first.
type painter struct {
	screen *screen
	window *vt.Screen
}

func newPainter(width, height int) painter {
	v := vt.New(width, height)
	s := &screen{out: onlcr{v}, size: func() (int, int) { return width, height }}
	s.write([]byte("^\n"))
	return painter{s, v}
}

// onlcr does what the kernel does on the way to a terminal.
type onlcr struct{ io.Writer }

func (o onlcr) Write(p []byte) (int, error) {
	return o.Writer.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
}

// below returns the window from the painted line on, with the cursor. After a full row that is
// where the next character will be.
func (p painter) below() string {
	f := p.screen.shown
	y := f.y
	if p.screen.ahead {
		y--
	}
	rows := strings.Split(p.window.Marked(), "\n")
	top := p.window.Y() - y
	if top < 0 || top >= len(rows) {
		return "the line begins outside the window"
	}
	rows = rows[top:]
	if p.screen.ahead {
		rows[y] = strings.TrimRight(strings.Replace(rows[y], "|", "", 1), " ")
		rows = append(rows[:f.y], "|")
	}
	return strings.Join(rows, "\n")
}

// TestDumbPainting: on a terminal without abilities a line that grows is sent as it is, at any
// width; one that is changed is updated by backspaces; and no sequence is ever sent.
func TestDumbPainting(t *testing.T) {
	letters := []string{"a", "b", "-", " ", "日", "é", "e\u0301"}
	random := rand.New(rand.NewPCG(3, 4))
	word := func(n int) (w string) {
		for range random.IntN(n + 1) {
			w += letters[random.IntN(len(letters))]
		}
		return w
	}
	for range 500 {
		var sent bytes.Buffer
		window := vt.New(300, 3)
		s := &screen{out: io.MultiWriter(&sent, onlcr{window}), size: func() (int, int) { return 10, 3 }, dumb: true}
		l := line{prompt: "> "}
		s.show(l)
		sent.Reset()
		for range 10 {
			if more := word(6); random.IntN(2) == 0 {
				added := l
				added.text, added.cursor = l.text+more, len(l.text+more)
				l.cursor = len(l.text)
				s.show(l)
				sent.Reset()
				s.show(added)
				if sent.String() != more && !strings.HasPrefix(more, "\u0301") {
					t.Fatalf("%q behind %q was sent as %q", more, l.text, sent.String())
				}
				l = added
			} else {
				runes := []rune(l.text)
				at := random.IntN(len(runes) + 1)
				l.text = string(runes[at:]) + more
				l.cursor = len(string([]rune(l.text)[:random.IntN(len([]rune(l.text))+1)]))
				s.show(l)
			}
			if i := bytes.IndexAny(sent.Bytes(), "\x1b\r"); i >= 0 {
				t.Fatalf("%q holds a control sequence", sent.String())
			}
			end := l
			end.cursor = len(l.text)
			s.show(end)
			if got, want := strings.TrimRight(window.All(), " \n"),
				strings.TrimRight(end.prompt+end.text, " "); got != want {
				t.Fatalf("the screen shows %q, not %q", got, want)
			}
			s.show(l)
		}
	}
}
