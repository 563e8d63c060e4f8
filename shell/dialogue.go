package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// A dialogue collects the arguments of one command.
type dialogue struct {
	shell *shell
	call  menu.Call
	args  menu.Arguments
	mode  menu.Mode
	left  map[string]bool   // arguments that an empty answer leaves out
	asked map[string]bool   // arguments that were answered here
	told  map[string]string // by argument: the text that preceded its question
	begun map[string]string // by argument: its value before its last part was answered

	refused string // argument whose answer was refused and not given again; empty if there is none
}

// command asks for what the command still needs and runs it. Ctrl-C in the dialogue is errTop. A
// failure of the command is shown and is not an error.
func (s *shell) command(ctx context.Context, call menu.Call) error {
	d := dialogue{shell: s, call: call, args: menu.Arguments{}, mode: menu.AskAll,
		left: map[string]bool{}, asked: map[string]bool{}, told: map[string]string{}, begun: map[string]string{}}
	for name, text := range call.Arguments {
		d.args[name] = text
	}
	if len(d.args) > 0 || call.JSON || call.Bytes {
		d.mode = menu.AskNeeded
	}
	for {
		failure, err := d.step(ctx)
		if failure == nil {
			if errors.Is(err, errDone) {
				return nil
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := s.report(failure); err != nil {
			return err
		}
		if !d.again(failure) {
			return nil
		}
	}
}

// errDone ends a dialogue: the command has run, or the user has left.
var errDone = errors.New("the dialogue is over")

// step asks one question, or runs the command if there is none. The failure is the appliance's or
// the command's; an error ends the dialogue.
func (d *dialogue) step(ctx context.Context) (*menu.Error, error) {
	s := d.shell
	q, err := s.ask(ctx, d.call.Path, api.AskRequest{Arguments: d.args, Mode: d.mode})
	var refused *menu.Error
	switch {
	case errors.As(err, &refused):
		return refused, nil
	case err != nil:
		return nil, err
	case d.refused != "" && (q == nil || q.Name != d.refused):
		// What there was to choose from has become less, and the only one left is not what was
		// meant. The refusal was the last word: further answers would do nothing.
		return nil, errDone
	case q != nil:
		err := d.answer(ctx, q)
		if errors.As(err, &refused) {
			return refused, nil
		}
		return nil, err
	case d.call.Bytes:
		return nil, cmp.Or(s.report(errBytesOnTerminal(d.call.Path)), errDone)
	}
	failure, err := s.run(ctx, d.call, d.given())
	if failure == nil && err == nil {
		err = errDone
	}
	if err != nil {
		return nil, err
	}
	return failure, nil
}

// answer asks a question and keeps what its answer means. An Error says that it means nothing.
func (d *dialogue) answer(ctx context.Context, q *menu.Question) error {
	// What precedes the question, such as a table, is shown once and not after every wrong answer.
	if i := strings.LastIndexByte(q.Text, '\n') + 1; i > 0 {
		if d.told[q.Name] != q.Text[:i] {
			d.shell.print(q.Text[:i])
		}
		d.told[q.Name], q.Text = q.Text[:i], q.Text[i:]
	}
	answer, err := d.shell.question(q, func(text string) menu.Completion {
		return d.shell.assist(ctx, d.call.Path, d.args, q.Name, text)
	})
	if err != nil {
		return err
	}
	if answer == "" && enterLeaves(q) {
		return cmp.Or(d.shell.print("Nothing was done.\n"), errDone)
	}
	d.asked[q.Name], d.refused = true, ""
	delete(d.begun, q.Name)
	if q.Part != nil {
		d.begun[q.Name] = q.Part.Begun
	}
	d.args[q.Name], err = q.Answer(answer)
	d.left[q.Name] = q.Leaves && d.args[q.Name] == ""
	return err
}

// given returns the arguments without those that were asked for and left out.
func (d *dialogue) given() menu.Arguments {
	given := maps.Clone(d.args)
	maps.DeleteFunc(given, func(name, _ string) bool { return d.left[name] })
	return given
}

// again reports whether a failure blames an answer of this dialogue. Then only that question is
// asked again.
func (d *dialogue) again(e *menu.Error) bool {
	if e.Argument == "" || !d.asked[e.Argument] {
		return false
	}
	delete(d.args, e.Argument)
	delete(d.asked, e.Argument)
	if begun, ok := d.begun[e.Argument]; ok {
		d.args[e.Argument] = begun
	}
	d.refused = e.Argument
	return true
}

// enterLeaves reports whether Enter alone returns to the menu or prompt where a dialogue began: the
// answer is required, has no default and is the whole value, as in a menu.
func enterLeaves(q *menu.Question) bool { return q.Required && q.Default == "" && q.Part == nil }

// ask requests the next question. The appliance may have to wait for others, such as a name server,
// so Ctrl-C ends this too.
func (s *shell) ask(ctx context.Context, path []string, request api.AskRequest) (*menu.Question, error) {
	asking, stop := s.terminal.Running(ctx)
	defer stop()
	q, err := s.client.Ask(asking, path, request)
	if cause := context.Cause(asking); cause != nil {
		return nil, s.left(cause)
	}
	return q, err
}

// assist returns what may follow in an answer begun with text.
func (s *shell) assist(ctx context.Context, path []string, args menu.Arguments, name, text string) menu.Completion {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	found, err := s.client.Assist(ctx, path, api.AssistRequest{Arguments: args, Argument: name, Text: text})
	if err != nil {
		return menu.Completion{Start: len(text)}
	}
	return found
}

// question asks one question and returns the answer as the argument's text. It calls assist for
// questions that are assisted.
func (s *shell) question(q *menu.Question, assist func(text string) menu.Completion) (string, error) {
	switch {
	case q.Type == "secret":
		return s.secret(q)
	case q.Type == "secret lines":
		return s.lines(q, func() (string, error) { return s.terminal.ReadSecret("> ") })
	case q.Type == "lines":
		return s.lines(q, func() (string, error) {
			return s.terminal.ReadLine(term.Line{Prompt: "> ", Help: func(string, int) string {
				return s.fitted(explainQuestion(q))
			}})
		})
	case q.Type == "confirm" || q.Type == "yes/no":
		return s.answer(q, s.fitted(fmt.Sprintf("%s [%s]> ", q.Text, yesOrNo(q.Default))), q.Default, assist)
	case q.Keywords:
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n", q.Text)
		for _, c := range q.Choices {
			fmt.Fprintf(&b, "- %s - %s\n", strings.ToUpper(c.Value), c.Help)
		}
		s.print(b.String())
		return s.answer(q, fmt.Sprintf("[%s]> ", q.Default), q.Default, assist)
	case len(q.Choices) > 0:
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n", q.Text)
		for i, c := range q.Choices {
			label := c.Label
			if label == "" {
				label = c.Value
			}
			fmt.Fprintf(&b, "%d. %s\n", i+1, label)
		}
		s.print(b.String())
		return s.answer(q, fmt.Sprintf("[%s]> ", numbered(q)), q.Default, assist)
	}
	s.print(q.Text + "\n")
	return s.answer(q, fmt.Sprintf("[%s]> ", q.Default), q.Default, assist)
}

func yesOrNo(text string) string {
	if strings.HasPrefix(strings.ToLower(text), "y") {
		return "Y"
	}
	return "N"
}

// numbered returns the default of a list of choices as the numbers that the list shows.
func numbered(q *menu.Question) string {
	var numbers []string
	for _, value := range menu.SplitList(q.Default) {
		i := slices.IndexFunc(q.Choices, func(c menu.Choice) bool { return strings.EqualFold(c.Value, value) })
		if i < 0 {
			return q.Default
		}
		numbers = append(numbers, strconv.Itoa(i+1))
	}
	return strings.Join(numbers, ",")
}

// answer reads a line; an empty one means the default.
func (s *shell) answer(q *menu.Question, prompt, otherwise string,
	assist func(text string) menu.Completion) (string, error) {
	line, err := s.terminal.ReadLine(term.Line{
		Prompt: prompt,
		Complete: func(text string, cursor int) []term.Suggestion {
			if q.Assisted {
				return suggestions(assist(text[:cursor]), text[:cursor])
			}
			return suggest(q, text[:cursor])
		},
		Help: func(text string, cursor int) string {
			if q.Assisted {
				return s.fitted(columns(assist(text[:cursor]).Candidates) + explainQuestion(q))
			}
			return s.fitted(explainQuestion(q))
		},
	})
	if err != nil {
		return "", s.left(err)
	}
	if line = strings.TrimSpace(line); line == "" {
		line = otherwise
	}
	return line, nil
}

// left converts the end of a read to what it means for a dialogue.
func (s *shell) left(err error) error {
	switch {
	case errors.Is(err, term.ErrInterrupted):
		return errTop
	case errors.Is(err, term.ErrIdle):
		s.printf("No key was pressed for %s: logged out.\n", spoken(time.Duration(s.greeting.Idle)*time.Second))
		return errIdle
	case errors.Is(err, io.EOF):
		return errQuit
	}
	return err
}

func (s *shell) secret(q *menu.Question) (string, error) {
	prompt := s.fitted(q.Text + "> ")
	last := strings.LastIndexByte(prompt, '\n') + 1
	for {
		s.print(prompt[:last])
		first, err := s.terminal.ReadSecret(prompt[last:])
		if err != nil {
			return "", s.left(err)
		}
		if !q.Twice || first == "" {
			return first, nil
		}
		second, err := s.terminal.ReadSecret("The same again> ")
		if err != nil {
			return "", s.left(err)
		}
		if first == second {
			return first, nil
		}
		s.print("The two are not the same. Nothing was changed; type it again.\n")
	}
}

// lines reads a text of several lines, up to Ctrl-D or a line with a single full stop. Ctrl-D
// before the first line leaves, as at any question. A cut connection does not complete a text. read
// reads one line.
func (s *shell) lines(q *menu.Question, read func() (string, error)) (string, error) {
	s.printf("%s (end with Ctrl-D or a line that holds only a full stop)\n", q.Text)
	var all []string
	for {
		line, err := read()
		if err != nil && (len(all) == 0 || err != term.ErrEnd) {
			return "", s.left(err)
		}
		if err == term.ErrEnd || line == "." {
			return strings.Join(all, "\n"), nil
		}
		all = append(all, line)
	}
}

func suggest(q *menu.Question, text string) []term.Suggestion {
	head := ""
	if i := strings.LastIndexByte(text, ','); i >= 0 && q.Type == "list" {
		head, text = text[:i+1], text[i+1:]
	}
	text = strings.TrimLeft(text, " ")
	var list []term.Suggestion
	for _, c := range append(q.Choices[:len(q.Choices):len(q.Choices)], q.Suggestions...) {
		if len(c.Value) >= len(text) && strings.EqualFold(c.Value[:len(text)], text) {
			help := c.Help
			if help == "" {
				help = c.Label
			}
			list = append(list, term.Suggestion{Text: head + c.Value, Help: help})
		}
	}
	return list
}

// explainQuestion returns what `?` prints at a question.
func explainQuestion(q *menu.Question) string {
	var b strings.Builder
	if q.Help != "" {
		fmt.Fprintf(&b, "%s\n", q.Help)
	}
	var choices []menu.Candidate
	for _, c := range q.Choices {
		help := c.Help
		if help == "" {
			help = c.Label
		}
		choices = append(choices, menu.Candidate{Text: c.Value, Help: help})
	}
	b.WriteString(columns(choices))
	switch {
	case q.Default != "" && q.Type != "secret" && q.Type != "secret lines":
		fmt.Fprintf(&b, "Enter alone takes %s. Ctrl-C goes back to the top.\n", q.Default)
	case enterLeaves(q):
		b.WriteString("Enter alone goes back, Ctrl-C to the top.\n")
	default:
		b.WriteString("Ctrl-C goes back to the top.\n")
	}
	return b.String()
}
