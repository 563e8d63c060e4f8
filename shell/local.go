package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// localWords are the words that the shell itself understands, at every prompt. All others are the
// appliance's.
var localWords = []menu.Candidate{
	{Text: "help", Help: "List the commands, or explain one: help COMMAND."},
	{Text: "terminal", Help: "Set the pager and the window: length 0|ROWS, width COLUMNS."},
	{Text: "exit", Help: "Leave."},
	{Text: "quit", Help: "Leave."},
}

// obeyOwn obeys one of the shell's own words.
func (s *shell) obeyOwn(ctx context.Context, p part) error {
	switch p.own {
	case "help":
		return s.help(ctx, p.args)
	// from a script, whose line comes in one piece: only a typed key is answered while the line is
	// edited
	case "?":
		return s.print(s.explain(ctx, p.text, len(p.text)))
	case "terminal":
		return s.setTerminal(p.args)
	}
	if err := p.standsAlone(); err != nil {
		return s.report(err)
	}
	return errQuit
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
	return s.page(ctx, s.fitted(text))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// setTerminal carries out `terminal`.
func (s *shell) setTerminal(words []string) error {
	w, err := parseWindow(words)
	if err != nil {
		return s.report(err)
	}
	if w.what == "length" {
		s.terminal.SetLength(w.n)
	} else {
		s.terminal.SetWidth(w.n)
	}
	return s.printf("%s\n", w.said())
}

// completeTime limits the time of Tab and ?: no key is read meanwhile, not even Ctrl-C.
const completeTime = 2 * time.Second

// complete returns what may be at the cursor.
func (s *shell) complete(ctx context.Context, text string, cursor int) []term.Suggestion {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	found, err := s.client.Complete(ctx, api.LineRequest{At: s.at, Line: text[:cursor], Abbreviate: true})
	if err != nil {
		return nil
	}
	found.Candidates = s.withLocal(found, text[:cursor])
	if len(found.Candidates) == 0 && found.Remark != "" {
		return []term.Suggestion{{Help: s.fitted(found.Remark)}}
	}
	return suggestions(found, text[:cursor])
}

// suggestions converts candidates to the terminal's form. They replace everything after the last
// blank, so it repeats what is between that and the candidate (an opening quote, a parenthesis).
func suggestions(found menu.Completion, text string) []term.Suggestion {
	kept := ""
	if word := term.WordStart(text); found.Start > word && found.Start <= len(text) {
		kept = text[word:found.Start]
	}
	var list []term.Suggestion
	for _, c := range found.Candidates {
		list = append(list, term.Suggestion{Text: kept + c.Text, Help: c.Help})
	}
	return list
}

// explain returns what `?` prints.
func (s *shell) explain(ctx context.Context, text string, cursor int) string {
	return s.fitted(s.explanation(ctx, text, cursor))
}

func (s *shell) explanation(ctx context.Context, text string, cursor int) string {
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
	if len(candidates) == 0 && found.Remark != "" {
		return found.Remark
	}
	if len(candidates) == 0 {
		var wrong *menu.Error
		if _, err := s.client.Parse(ctx,
			api.LineRequest{At: s.at, Line: text[:cursor], Abbreviate: true, Explain: true}); errors.As(err, &wrong) {
			return wrong.Error() + "\n"
		}
		return "Nothing more is needed: Enter runs it.\n"
	}
	return columns(candidates)
}

// columns formats words with their help beside them.
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

// withLocal adds the shell's own words where a command may be.
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
