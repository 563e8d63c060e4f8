package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// command asks what the command still wants to know and runs it. Ctrl-C in the dialogue is errTop; the command's own failure is
// shown and is no error.
func (s *shell) command(ctx context.Context, call menu.Call) error {
	args := menu.Arguments{}
	for name, text := range call.Arguments {
		args[name] = text
	}
	mode := menu.AskAll
	if len(args) > 0 || call.JSON || call.Bytes {
		mode = menu.AskNeeded
	}
	asked, told := map[string]bool{}, map[string]string{}
	// again says whether a failure blames an answer given here: then its question is asked once more, the others keep their answers.
	again := func(e *menu.Error) bool {
		if e.Argument == "" || !asked[e.Argument] {
			return false
		}
		delete(args, e.Argument)
		delete(asked, e.Argument)
		return true
	}
	for {
		q, err := s.ask(ctx, call.Path, api.AskRequest{Arguments: args, Mode: mode})
		var refused *menu.Error
		if errors.As(err, &refused) {
			if err := s.report(refused); err != nil {
				return err
			}
			if !again(refused) {
				return nil
			}
			continue
		}
		if err != nil {
			return err
		}
		if q != nil {
			// What is to be known first, such as a table, is told once and not at every wrong answer.
			if i := strings.LastIndexByte(q.Text, '\n') + 1; i > 0 {
				if told[q.Name] != q.Text[:i] {
					s.print(q.Text[:i])
				}
				told[q.Name], q.Text = q.Text[:i], q.Text[i:]
			}
			answer, err := s.question(q, func(text string) menu.Completion { return s.assist(ctx, call.Path, args, q.Name, text) })
			if err != nil {
				return err
			}
			if answer == "" && enterLeaves(q) {
				return s.print("Nothing was done.\n")
			}
			args[q.Name], asked[q.Name] = answer, true
			continue
		}
		if call.Bytes {
			return s.report(errBytesOnTerminal())
		}
		failure, err := s.run(ctx, call, args)
		if err != nil {
			return err
		}
		if failure == nil {
			return nil
		}
		if err := s.report(failure); err != nil {
			return err
		}
		if !again(failure) {
			return nil
		}
	}
}

// enterLeaves reports whether Enter alone goes back to the menu or prompt that a dialogue was begun at: where an answer is needed and none
// is offered, as in a menu.
func enterLeaves(q *menu.Question) bool { return q.Required && q.Default == "" }

// ask asks for the next question. The appliance may have to wait for others to know it, as for a name server, so Ctrl-C ends this too.
func (s *shell) ask(ctx context.Context, path []string, request api.AskRequest) (*menu.Question, error) {
	asking, stop := s.terminal.Running(ctx)
	defer stop()
	q, err := s.client.Ask(asking, path, request)
	if cause := context.Cause(asking); cause != nil {
		return nil, s.left(cause)
	}
	return q, err
}

// assist says what may follow in the text begun for an answer.
func (s *shell) assist(ctx context.Context, path []string, args menu.Arguments, name, text string) menu.Completion {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	found, err := s.client.Assist(ctx, path, api.AssistRequest{Arguments: args, Argument: name, Text: text})
	if err != nil {
		return menu.Completion{Start: len(text)}
	}
	return found
}

// question asks one question and returns the answer as the argument's text. assist is asked for questions that are assisted.
func (s *shell) question(q *menu.Question, assist func(text string) menu.Completion) (string, error) {
	switch {
	case q.Type == "secret":
		return s.secret(q)
	case q.Type == "lines":
		return s.lines(q)
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

// numbered writes the default of a list of choices by its numbers, as the list shows them.
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

// answer reads a line; an empty one takes the default.
func (s *shell) answer(q *menu.Question, prompt, otherwise string, assist func(text string) menu.Completion) (string, error) {
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

// left turns the end of a read into what it means for a dialogue.
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

// lines reads a text of several lines, up to Ctrl-D or a line with a single full stop. Ctrl-D before the first line leaves, as at any
// question; a connection that is cut ends no text.
func (s *shell) lines(q *menu.Question) (string, error) {
	s.printf("%s (end with Ctrl-D or a line that holds only a full stop)\n", q.Text)
	var all []string
	for {
		line, err := s.terminal.ReadLine(term.Line{Prompt: "> ", Help: func(string, int) string { return s.fitted(explainQuestion(q)) }})
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

// explainQuestion is what `?` prints at a question.
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
	case q.Default != "" && q.Type != "secret":
		fmt.Fprintf(&b, "Enter alone takes %s. Ctrl-C goes back to the top.\n", q.Default)
	case enterLeaves(q):
		b.WriteString("Enter alone goes back, Ctrl-C to the top.\n")
	default:
		b.WriteString("Ctrl-C goes back to the top.\n")
	}
	return b.String()
}
