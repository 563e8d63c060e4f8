package api

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// session answers with the caller and the greeting.
func (s *Server) session(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	return writeJSON(w, s.appliance.Greeting(caller))
}

// hostname answers with the present hostname.
func (s *Server) hostname(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	return writeJSON(w, map[string]string{"hostname": s.appliance.Hostname()})
}

// leaving answers with what the caller should know before leaving.
func (s *Server) leaving(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	return writeJSON(w, map[string]string{"notice": s.appliance.Leaving(caller)})
}

// describe answers with the whole tree. It is the same for every role: a role is no secret, and a
// reference needs all.
func (s *Server) describe(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	return writeJSON(w, s.tree.Nodes())
}

// A MenuView is a menu as it is now.
type MenuView struct {
	Path   []string   `json:"path"`
	Status string     `json:"status"`           // text above the choices, may be empty
	Choice string     `json:"choice,omitempty"` // text of a question, whose answers are the numbered items
	Items  []ItemView `json:"items"`
}

// An ItemView is a choice of a menu.
type ItemView struct {
	Keyword string `json:"keyword"`
	Help    string `json:"help"`
	Menu    bool   `json:"menu"`
	Number  int    `json:"number,omitempty"` // in a menu that is a question
}

func (s *Server) menu(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	path := pathOf(r)
	item, err := s.find(caller, path)
	if err != nil {
		return s.refused(caller, path, err)
	}
	m, ok := item.(*menu.Menu)
	if !ok {
		return menu.Errorf(menu.NotFound, "%q is a command, not a menu", item.Keyword())
	}
	view := MenuView{Path: path, Choice: m.Choice, Items: []ItemView{}}
	if m.Status != nil {
		var b bytes.Buffer
		if err := m.Status(r.Context(), caller, &b); err != nil {
			return err
		}
		view.Status = menu.CleanLines(b.String())
	}
	for _, i := range m.Listed(r.Context(), caller, caller.Role.Includes) {
		_, isMenu := i.(*menu.Menu)
		shown := ItemView{Keyword: i.Keyword(), Help: i.Summary(), Menu: isMenu}
		if m.Choice != "" {
			shown.Number = slices.Index(m.Items, i) + 1
		}
		view.Items = append(view.Items, shown)
	}
	return writeJSON(w, view)
}

func (s *Server) help(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	text, err := s.tree.HelpText(pathOf(r), caller.Role.Includes)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"text": text})
}

// A LineRequest is a line typed in a menu.
type LineRequest struct {
	At         []string `json:"at"` // the menu's path; empty: the top
	Line       string   `json:"line"`
	Abbreviate bool     `json:"abbreviate"` // a user types: unique beginnings of keywords and of fixed words will do
	Explain    bool     `json:"explain"`    // the line is still being typed: errors are shown and not audited
}

func (s *Server) parse(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	var q LineRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	calls, err := s.tree.Parse(q.At, q.Line, q.Abbreviate, menu.Usable(r.Context(), caller, caller.Role.Includes))
	if err != nil {
		if !q.Explain {
			s.notUnderstood(caller, q, err)
		}
		return err
	}
	return writeJSON(w, map[string]any{"calls": calls})
}

// notUnderstood audits a line that has no known commands. Any word may be a secret that was typed
// in the wrong place. So it keeps only words that the tree has: names on the way to a command, and
// keywords of its arguments.
func (s *Server) notUnderstood(caller menu.Caller, q LineRequest, err error) {
	path := q.At
	if s.tree.Find(path) == nil {
		path = nil
	}
	var line []string
	for _, word := range strings.Fields(q.Line) {
		if len(line) == maxAuditWords {
			line = append(line, "...")
			break
		}
		below := append(slices.Clone(path), strings.ToLower(word))
		known := s.tree.Find(below) != nil
		if known {
			path = below
		} else if c, ok := s.tree.Find(path).(*menu.Command); ok {
			known = slices.ContainsFunc(c.Params, func(p menu.Param) bool { return p.Called(word) })
		}
		if !known {
			word = menu.Asterisks
		}
		line = append(line, word)
	}
	e := s.AsError("parse", err)
	event := eventOf(caller, access.ActRefused, path)
	event.Arguments = map[string]string{"line": strings.Join(line, " ")}
	event.Result, event.Exit, event.Message = e.Code.String(), int(e.Code), "The line was not understood"
	s.appliance.Record(event)
}

// maxAuditWords bounds the words of a line in the audit log.
const maxAuditWords = 30

func (s *Server) complete(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	var q LineRequest
	if err := cmp.Or(forPerson(caller), readJSON(r, &q)); err != nil {
		return err
	}
	return writeJSON(w, typeable(s.tree.Complete(r.Context(), caller, q.At, q.Line, caller.Role.Includes)))
}

// typeable removes from a completion what nobody can type, such as a process name with an escape
// sequence.
func typeable(c menu.Completion) menu.Completion {
	c.Candidates = slices.DeleteFunc(c.Candidates, func(one menu.Candidate) bool {
		return menu.Clean(one.Text) != one.Text
	})
	c.Candidates, c.Value = menu.Cleaned(c.Candidates), menu.Cleaned(c.Value)
	return c
}

// An AskRequest is the state of a dialogue.
type AskRequest struct {
	Arguments menu.Arguments `json:"arguments"`
	Mode      menu.Mode      `json:"mode"`
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	c, path, err := s.command(r, caller)
	if err != nil {
		return s.refused(caller, path, err)
	}
	var q AskRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	question, err := c.Next(r.Context(), caller, q.Arguments, q.Mode)
	if err != nil {
		return err
	}
	if question != nil {
		question.Text, question.Help = menu.CleanLines(question.Text), menu.CleanLines(question.Help)
	}
	return writeJSON(w, map[string]any{"question": question})
}

// An AssistRequest is the text begun for one argument.
type AssistRequest struct {
	Arguments menu.Arguments `json:"arguments"` // those answered before
	Argument  string         `json:"argument"`
	Text      string         `json:"text"` // up to the cursor
}

func (s *Server) assist(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	c, path, err := s.command(r, caller)
	if err != nil {
		return s.refused(caller, path, err)
	}
	var q AssistRequest
	if err := readJSON(r, &q); err != nil {
		return err
	}
	return writeJSON(w, typeable(c.CompleteValue(r.Context(), caller, q.Arguments, q.Argument, q.Text)))
}

func (s *Server) history(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	var q struct {
		Line string `json:"line"`
	}
	if err := cmp.Or(forPerson(caller), readJSON(r, &q)); err != nil {
		return err
	}
	s.appliance.Remember(caller.User, q.Line)
	return writeJSON(w, struct{}{})
}
