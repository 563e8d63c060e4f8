package term

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	prompt "github.com/c-bata/go-prompt"
)

// Line is one line to ask for. While Complete and Help run, no key is read, not even Ctrl-C, so
// they must limit their time.
type Line struct {
	// Prompt precedes the text. If it has several lines, those above the last are output.
	Prompt string
	// History is for the arrow keys and Ctrl-R, the newest last. Only the last thousand lines are
	// used.
	History []string
	// Complete returns the suggestions for the word that ends at cursor, a byte offset in text.
	// Words are separated by blanks.
	Complete func(text string, cursor int) []Suggestion
	// Help is called when ? is typed, and its result is shown above the line. If that is "", the ?
	// is text. A ? is also text if more was typed after it already, by a paste or a script, whose
	// lines may therefore end with a ?.
	Help func(text string, cursor int) string
	// Escape, if not empty, is a control character that ends the line with ErrEscape.
	Escape string
	// Idle replaces Options.Idle for this line, if not 0.
	Idle time.Duration
}

// Suggestion is a word that may be at the cursor. A single one without Text is a remark: its Help
// is shown, where no word is possible.
type Suggestion struct{ Text, Help string }

const historyLimit = 1000

// ReadLine lets the user edit a line and returns it without its end. Errors are ErrInterrupted
// (Ctrl-C), ErrEnd (Ctrl-D on an empty line), ErrEscape (Line.Escape), io.EOF (the terminal is
// gone), ErrIdle, and the cause of a running command's end.
//
// Tab completes as far as the suggestions agree and lists them where they do not. Lines pasted or
// typed ahead are taken one by one and appear as if typed. A line that cannot be taken (longer than
// 16 KiB, or a part of the editor failed) is lost with one message, and the prompt returns.
func (t *Terminal) ReadLine(l Line) (string, error) {
	for {
		text, err := t.editor.read(l)
		var lost *lostLine
		if !errors.As(err, &lost) {
			return text, err
		}
		t.WriteString(lost.Error() + "\n")
	}
}

// editor edits one line after the other with one go-prompt, which cannot be disposed of: each
// leaves a descriptor open.
type editor struct {
	keys   *queue
	screen *screen
	idle   time.Duration
	runs   func() context.Context
	binds  map[string]prompt.KeyBindFunc

	prompt *prompt.Prompt // nil before the first line that needs it
	parser *parser

	// Of the line being read.
	line     Line
	ctx      context.Context
	deadline time.Time // for the next key; zero is never
	history  []string  // safe to show; nil before go-prompt has it
	text     string
	cursor   int  // byte offset in text
	tooLong  bool // text was refused since the last key that edits
}

func newEditor(t *Terminal) *editor {
	e := &editor{keys: t.keys, screen: t.screen, idle: t.opts.Idle, runs: t.runningContext}
	e.binds = e.bindings()
	return e
}

func (e *editor) read(l Line) (string, error) {
	e.begin(l)
	e.rendered()
	for {
		// While the line is empty, go-prompt is not needed to interpret a key, and most lines are
		// complete when they are seen. A line that was begun and left alone waits here too, but
		// then go-prompt handles any news.
		if err := e.wait(time.Time{}); e.text == "" && !e.tooLong {
			if err != nil {
				return "", e.finish(err)
			}
			if text, ok := e.keys.takeLine(lineLimit); ok {
				e.text = text
				return text, e.finish(nil)
			}
		}
		switch err := e.edit(); err {
		case errPaused:
		case nil:
			return e.text, e.finish(nil)
		default:
			return "", e.finish(err)
		}
	}
}

func (e *editor) begin(l Line) {
	if i := strings.LastIndexByte(l.Prompt, '\n'); i >= 0 {
		e.screen.write([]byte(l.Prompt[:i+1]))
		l.Prompt = l.Prompt[i+1:]
	}
	l.Prompt = scrubbed(l.Prompt)
	if l.Idle == 0 {
		l.Idle = e.idle
	}
	e.line, e.ctx = l, e.runs()
	e.history, e.tooLong, e.text, e.cursor = nil, false, "", 0
	e.touched()
}

// touched restarts the time for the next key.
func (e *editor) touched() {
	e.deadline = time.Time{}
	if e.line.Idle > 0 {
		e.deadline = time.Now().Add(e.line.Idle)
	}
}

// wait waits for a key, at most until pause (errTimeout; zero is never). Any other error ends the
// line.
func (e *editor) wait(pause time.Time) error {
	until := e.deadline
	if !pause.IsZero() && (until.IsZero() || pause.Before(until)) {
		until = pause
	}
	err := e.keys.wait(e.ctx, until)
	if err == errTimeout && until == e.deadline {
		return ErrIdle
	}
	return err
}

// edit runs go-prompt until Enter, the line was left (it returns the reason), or typing pauses
// (errPaused).
func (e *editor) edit() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = e.rescue(r)
		}
	}()
	if e.prompt == nil {
		e.start()
	}
	if e.history == nil {
		e.load()
	}
	e.prompt.Input()
	e.text, e.cursor = e.parser.text, e.parser.cursor
	return e.parser.result
}

// load gives go-prompt the history of this line. It is made safe like output, because it may come
// from a file.
func (e *editor) load() {
	recent := e.line.History[max(0, len(e.line.History)-historyLimit):]
	e.history = make([]string, len(recent))
	for i, text := range recent {
		e.history[i] = scrubbed(text)
	}
	prompt.OptionHistory(slices.Clone(e.history))(e.prompt)
}

// start makes a go-prompt. Its own completion stays empty: the popup needs seven rows and panics
// when its list shrinks.
func (e *editor) start() {
	e.parser = newParser(e)
	var codes []prompt.ASCIICodeBind
	var keys []prompt.KeyBind
	for seq, fn := range e.binds {
		if k := prompt.GetKey([]byte(seq)); k != prompt.NotDefined {
			keys = append(keys, prompt.KeyBind{Key: k, Fn: fn})
		} else {
			codes = append(codes, prompt.ASCIICodeBind{ASCIICode: []byte(seq), Fn: fn})
		}
	}
	e.prompt = prompt.New(func(string) {}, e.observe,
		prompt.OptionParser(e.parser),
		prompt.OptionWriter(console{e}),
		prompt.OptionShowCompletionAtStart(),
		prompt.OptionSetExitCheckerOnInput(e.parser.leave),
		prompt.OptionAddKeyBind(keys...),
		prompt.OptionAddASCIICodeBind(codes...),
	)
}

// observe is go-prompt's completer. It is called with the line before each rendering, and with an
// empty one in between.
func (e *editor) observe(d prompt.Document) []prompt.Suggest {
	e.text, e.cursor = d.Text, len(d.TextBeforeCursor())
	return nil
}

// rendered paints the line as go-prompt has it now.
func (e *editor) rendered() {
	e.screen.show(line{prompt: e.line.Prompt, text: e.text, cursor: e.cursor})
	if e.parser != nil {
		wake(e.parser.painted)
	}
}

// finish ends the line on the screen and returns err.
func (e *editor) finish(err error) error {
	text := e.text
	if err == ErrInterrupted {
		text += "^C"
	}
	if err != nil && e.line.Prompt+text == "" {
		e.screen.clear() // an empty text needs no row of its own
	} else {
		e.screen.keep(line{prompt: e.line.Prompt, text: text})
	}
	e.line, e.history = Line{}, nil
	return err
}

// rescue drops the go-prompt that panicked.
func (e *editor) rescue(cause any) error {
	close(e.parser.dead)
	e.text = e.parser.text // stays on the screen, to be read while it is typed again
	e.prompt, e.parser = nil, nil
	return &lostLine{fmt.Sprintf("The line is lost, please type it again: the editor failed (%v).", cause)}
}

// lostLine says why a line could not be taken.
type lostLine struct{ sentence string }

func (l *lostLine) Error() string { return l.sentence }
