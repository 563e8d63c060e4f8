package transcript

import (
	"fmt"
	"regexp"
	"strings"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/vt"
)

// promptLine is a line of a transcript that begins with a prompt: the top one (of a host that may
// have got another number than appliance.Host has), that of a question with or without a default,
// of a line of a text, or one behind which a secret is typed.
var promptLine = regexp.MustCompile(`^(mx\d+>|>|(?:[^\[\]]* )?\[[^\]]*\]>|[^>]*>(?: <secret))(?: (.*))?$`)

// keys are the special ones as they are written, and what a keyboard sends.
var keys = []struct{ written, sent string }{
	{"^C", "\x03"}, {"^D", "\x04"}, {"<Tab>", "\t"}, {"<?>", "?"}, {"<Up>", "\x1b[A"}, {"<Down>", "\x1b[B"},
}

// becomes separates what was typed from the line that it became.
const becomes = "  => "

// An input is a line that is typed.
type input struct {
	prompt  string // with the blank behind it
	written string // the keys, as the transcript has them
	secret  bool
}

// parseInput takes a line of a transcript apart; ok says that it begins with a prompt.
func parseInput(line string) (in input, ok bool) {
	line, _, _ = strings.Cut(line, becomes)
	prompt, keys, cut := strings.Cut(line, "> <secret")
	if cut {
		text, closed := strings.CutSuffix(strings.TrimPrefix(keys, " "), ">")
		return input{prompt: prompt + "> ", written: text, secret: true}, closed
	}
	m := promptLine.FindStringSubmatch(line)
	if m == nil {
		return in, false
	}
	return input{prompt: m[1] + " ", written: strings.TrimRight(m[2], " ")}, true
}

// inputs lists the lines to type. A bare prompt at the end is no input.
func inputs(lines []string) []input {
	var list []input
	for i, line := range lines {
		in, ok := parseInput(line)
		if ok && !(i == len(lines)-1 && in.written == "" && !in.secret) {
			list = append(list, in)
		}
	}
	return list
}

// playDialogue types the inputs of a dialogue at the prompts that come, and returns the screen in
// the form of the transcript.
func (p *player) playDialogue(s section) []string {
	d := &dialogue{player: p, terminal: p.appliance.Terminal(s.user, s.width, s.height), rows: map[int]input{}}
	before := p.appliance.Logouts(s.user)
	defer func() {
		d.terminal.Close()
		p.appliance.WaitLogouts(s.user, before+1) // who, last and the audit log of the next section have it
	}()
	d.prompt(-1)
	first := d.row
	for _, in := range inputs(s.lines) {
		if d.over {
			p.t.Fatalf("the session ended before %q could be typed; the screen shows:\n%s", in.written, d.terminal.All())
		}
		d.enter(in)
	}
	if len(s.lines) > 0 {
		if _, ok := parseInput(s.lines[0]); !ok {
			first = 0
		}
	}
	return d.text(first)
}

// A dialogue is one being played.
type dialogue struct {
	*player
	terminal *appliance.Terminal
	row      int    // of the prompt at which the next input is typed
	shown    string // what stands in that row left of the cursor: the prompt, and a beginning of the line after a list of choices
	over     bool   // the session has ended
	rows     map[int]input
}

// prompt waits for a prompt in a row below the given one, or for the end of the session.
func (d *dialogue) prompt(above int) {
	d.t.Helper()
	err := d.terminal.Until(appliance.Patience, func(s *vt.Screen) bool {
		d.row, d.shown = s.Row(), s.Before()
		// Half a line of output may be on the screen; no prompt has a blank before its mark, as the
		// paths in help have.
		return d.row > above && strings.HasSuffix(d.shown, "> ") && !strings.HasSuffix(d.shown, " > ")
	})
	if err == nil {
		return
	}
	select {
	case <-d.terminal.Gone():
		d.over = true
	default:
		d.t.Fatalf("no prompt came: %v", err)
	}
}

// enter types one input, and Enter behind it unless its last key needs none.
func (d *dialogue) enter(in input) {
	d.t.Helper()
	rest := in.written
	if !in.secret {
		_, begun, _ := strings.Cut(d.shown, "> ")
		if padded := rest + " "; strings.HasPrefix(padded, begun) { // a transcript has no blanks at a line's end
			rest = strings.TrimRight(padded[len(begun):], " ")
		}
	}
	d.rows[d.row] = in
	for rest != "" {
		text, key, sent, after := nextKey(rest)
		d.terminal.Type(text)
		rest = after
		switch key {
		case "":
		case "^C", "^D":
			if !in.secret {
				d.echoed(text) // ^C drops what was typed and not read
			}
			d.terminal.Type(sent)
			d.prompt(d.row)
			return
		default:
			d.echoed(text)
			listed := d.press(sent)
			if listed && rest != "" {
				d.t.Fatalf("%q: %s shows a list and the line anew below it, so what is typed next stands in the transcript's next line", in.written, key)
			}
			if listed {
				return
			}
		}
	}
	row := d.row
	d.terminal.Type("\r")
	d.prompt(row)
}

// nextKey takes the text before the first special key, and that key.
func nextKey(written string) (text, key, sent, rest string) {
	at := len(written)
	for _, k := range keys {
		if i := strings.Index(written, k.written); i >= 0 && i < at {
			at, key, sent = i, k.written, k.sent
		}
	}
	return written[:at], key, sent, written[at+len(key):]
}

// echoed waits until a typed text stands left of the cursor.
func (d *dialogue) echoed(text string) {
	d.t.Helper()
	d.shown += text
	d.wait(func(s *vt.Screen) bool { return strings.HasSuffix(s.Before(), text) })
}

// press presses a special key and waits for what it does. It reports whether a list was shown, with
// the line anew below it.
func (d *dialogue) press(sent string) (listed bool) {
	d.t.Helper()
	bells, before, row := 0, "", d.row
	d.terminal.Look(func(s *vt.Screen) { bells, before = s.Bells(), s.Before() })
	d.terminal.Type(sent)
	d.wait(func(s *vt.Screen) bool {
		d.row, d.shown = s.Row(), s.Before()
		return d.row > row && d.shown == before || d.row == row && (d.shown != before || s.Bells() > bells)
	})
	return d.row > row
}

func (d *dialogue) wait(ok func(*vt.Screen) bool) {
	d.t.Helper()
	if err := d.terminal.Until(appliance.Patience, ok); err != nil {
		d.t.Fatal(err)
	}
}

// text is the screen from a row on, with the inputs as they are written.
func (d *dialogue) text(first int) []string {
	var rows []string
	d.terminal.Look(func(s *vt.Screen) { rows = s.Rows() })
	var lines []string
	for i := first; i < len(rows); i++ {
		if in, ok := d.rows[i]; ok {
			lines = append(lines, d.inputLine(in, rows[i]))
			continue
		}
		lines = append(lines, strings.TrimRight(d.normal.line(rows[i]), " "))
	}
	lines = d.menus.fold(once(lines))
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if d.over {
		lines = append(lines, fmt.Sprintf("= %d", d.terminal.Ended()))
	}
	return lines
}

// inputLine is the row of an input: the prompt that came, the keys as they are written, and the
// line that they became if it is another.
func (d *dialogue) inputLine(in input, row string) string {
	prompt, shown, _ := strings.Cut(row+" ", "> ")
	shown = strings.TrimRight(shown, " ")
	written, echo := in.written, plain(in.written)
	if in.secret {
		written, echo = strings.TrimRight("<secret "+in.written, " ")+">", ""
		if in.written == "^C" {
			echo = in.written
		}
	}
	line := strings.TrimRight(d.normal.line(prompt)+"> "+written, " ")
	if shown != echo {
		line += becomes + shown
	}
	return line
}

// plain is the line that keys make if the special ones add nothing to it.
func plain(written string) string {
	for _, k := range keys {
		if k.written != "^C" {
			written = strings.ReplaceAll(written, k.written, "")
		}
	}
	return strings.TrimRight(written, " ")
}
