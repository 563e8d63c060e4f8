package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"diagsh/api"
	"diagsh/menu"
	"diagsh/shell/term"
)

// localWords are what the shell itself understands, at every prompt. Everything else is the appliance's.
var localWords = []menu.Candidate{
	{Text: "help", Help: "List the commands, or explain one: help COMMAND."},
	{Text: "terminal", Help: "Set how this session shows output: terminal pager on|off."},
	{Text: "exit", Help: "Leave."},
	{Text: "quit", Help: "Leave."},
}

// local obeys the shell's own words. done says that the line was one of them.
func (s *shell) local(ctx context.Context, line string) (done bool, err error) {
	words := strings.Fields(strings.ToLower(line))
	switch words[0] {
	case "exit", "quit":
		if len(words) > 1 {
			return true, s.printf("%s stands alone: it leaves.\n", words[0])
		}
		return true, errQuit
	case "help":
		s.remember(ctx, line)
		return true, s.help(ctx, words[1:])
	case "terminal":
		s.remember(ctx, line)
		return true, s.setTerminal(words[1:])
	}
	return false, nil
}

func (s *shell) help(ctx context.Context, words []string) error {
	path := append(append([]string(nil), s.at...), words...)
	text, err := s.client.Help(ctx, path)
	if err != nil && len(s.at) > 0 && len(words) > 0 {
		text, err = s.client.Help(ctx, words)
	}
	if err != nil {
		for _, w := range localWords {
			if len(words) == 1 && w.Text == words[0] {
				return s.printf("%s - %s\n", strings.ToUpper(w.Text), w.Help)
			}
		}
		return s.report(err)
	}
	if len(words) == 0 && len(s.at) == 0 {
		text = "Commands:\n" + indent(text) + "\nIn this shell:\n" + columns(localWords) +
			"\nEnter goes up one level, Ctrl-C to the top, Ctrl-D leaves. A whole path on one line runs at once.\n"
	}
	width, _ := s.terminal.Size()
	return s.page(ctx, wrapped(text, width))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// setTerminal is `terminal pager on|off`.
func (s *shell) setTerminal(words []string) error {
	if len(words) == 2 && words[0] == "pager" && (words[1] == "on" || words[1] == "off") {
		s.terminal.SetPager(words[1] == "on")
		return s.printf("The pager is %s.\n", words[1])
	}
	return s.print("The words are: terminal pager on, or terminal pager off.\n")
}

// completeTime bounds how long Tab and ? may take: no key is seen meanwhile, Ctrl-C neither.
const completeTime = 2 * time.Second

// complete lists what may stand at the cursor.
func (s *shell) complete(ctx context.Context, text string, cursor int) []term.Suggestion {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	found, err := s.client.Complete(ctx, api.LineRequest{At: s.at, Line: text[:cursor], Abbreviate: true})
	if err != nil {
		return nil
	}
	found.Candidates = s.withLocal(found, text[:cursor])
	return suggestions(found, text[:cursor])
}

// suggestions are candidates as the terminal takes them: in place of everything behind the last blank, so that what stands between
// it and the candidate (an opening quote, a parenthesis) stays.
func suggestions(found menu.Completion, text string) []term.Suggestion {
	kept := ""
	if blank := strings.LastIndexByte(text, ' ') + 1; found.Start > blank && found.Start <= len(text) {
		kept = text[blank:found.Start]
	}
	var list []term.Suggestion
	for _, c := range found.Candidates {
		list = append(list, term.Suggestion{Text: kept + c.Text, Help: c.Help})
	}
	return list
}

// explain is what `?` prints.
func (s *shell) explain(ctx context.Context, text string, cursor int) string {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	found, err := s.client.Complete(ctx, api.LineRequest{At: s.at, Line: text[:cursor], Abbreviate: true})
	if err != nil {
		return ""
	}
	candidates := s.withLocal(found, text[:cursor])
	if found.Value != nil {
		candidates = append([]menu.Candidate{*found.Value}, candidates...)
	}
	if len(candidates) == 0 {
		var wrong *menu.Error
		if _, err := s.client.Parse(ctx, api.LineRequest{At: s.at, Line: text[:cursor], Abbreviate: true, Explain: true}); errors.As(err, &wrong) {
			return wrong.Error() + "\n"
		}
		return "Nothing more is needed: Enter runs it.\n"
	}
	width, _ := s.terminal.Size()
	return wrapped(columns(candidates), width)
}

// columns lists words with their help beside them.
func columns(list []menu.Candidate) string {
	width := 0
	for _, c := range list {
		width = max(width, len(c.Text))
	}
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, c.Text, c.Help)
	}
	return b.String()
}

// withLocal adds the shell's own words where a command may stand.
func (s *shell) withLocal(found menu.Completion, line string) []menu.Candidate {
	list := found.Candidates
	if strings.TrimSpace(line[:min(found.Start, len(line))]) == "" {
		for _, w := range localWords {
			if strings.HasPrefix(w.Text, strings.ToLower(strings.TrimSpace(line))) {
				list = append(list, w)
			}
		}
	}
	return list
}
