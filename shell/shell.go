package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// Exit statuses of a session that ends before any command could set one.
const (
	exitOK   = 0
	exitFail = 1
)

// A shell is one user's session at the menus.
type shell struct {
	client   *api.Client
	terminal *term.Terminal
	greeting access.Greeting
	at       []string // the menu of the prompt; empty: the top
	choice   bool     // that menu is a question: its items are numbered, and after running one it is left
	history  []string
}

var (
	// errTop returns to the top prompt: Ctrl-C in a dialogue.
	errTop = errors.New("back to the top")
	// errQuit requests the end of the session: exit, Ctrl-D. mayLeave can refuse it.
	errQuit = errors.New("the person wants to leave")
	// errLeave ends the session: after errQuit, or because the terminal or the appliance is gone.
	errLeave = errors.New("leave")
	// errIdle ends the session too: no key for too long, as was announced.
	errIdle = errors.New("no key was pressed")
)

// Interactive runs the menus on the process's controlling terminal until the user leaves. It
// returns the exit status.
func Interactive(ctx context.Context, client *api.Client) int {
	greeting, err := client.Greeting(ctx)
	if err != nil {
		return complain(err)
	}
	terminal, err := term.Open(term.Options{Idle: time.Duration(greeting.Idle) * time.Second,
		Dumb: term.Dumb(os.Getenv("TERM"))})
	if err != nil {
		return complain(err)
	}
	defer terminal.Close()
	go func() {
		<-client.Ended()
		terminal.HangUp() // the appliance is gone, so nothing more can be typed
	}()
	client.Columns = func() int {
		columns, _ := terminal.Size()
		return columns % term.NoLimit // for the appliance, 0 is no limit
	}
	s := &shell{client: client, terminal: terminal, greeting: greeting, history: greeting.History}
	s.welcome()
	if err = s.loop(ctx); errors.Is(err, errIdle) {
		return exitOK // not because the appliance, which has the same clock, ends the session as well
	}
	select {
	case <-client.Ended():
	default:
		if errors.Is(err, errLeave) || !api.Gone(err) {
			return exitOK
		}
	}
	s.print("The appliance has ended the session.\n")
	return exitFail
}

// welcome prints what a login shows, in the order of AsyncOS: last login, product, welcome text,
// notices about the session.
func (s *shell) welcome() {
	g := s.greeting
	var b strings.Builder
	if g.LastLogin != nil {
		fmt.Fprintf(&b, "Last login: %s from %s\n", g.LastLogin.UTC().Format("Mon Jan _2 15:04:05 2006 UTC"),
			g.LastFrom)
	}
	fmt.Fprintf(&b, "%s\n", g.Product)
	if g.Certificate != "" {
		fmt.Fprintf(&b, "Certificate of HTTPS: SHA256 %s\n", g.Certificate)
	}
	if g.Welcome != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(g.Welcome, "\n"))
	}
	if g.Idle > 0 {
		fmt.Fprintf(&b, "\nNOTE: This session ends after %s without a key pressed. Captures go on.\n",
			spoken(time.Duration(g.Idle)*time.Second))
	}
	if g.Console {
		b.WriteString("\nNOTE: Leaving this window ends the appliance, with its captures and sessions.\n")
	}
	if g.Notice != "" {
		fmt.Fprintf(&b, "NOTE: %s\n", g.Notice)
	}
	b.WriteString("Type help to see the commands, ? to see what may follow.\n\n")
	s.print(b.String())
}

// spoken returns a duration in words for a sentence.
func spoken(d time.Duration) string {
	unit, n := "second", int64(d/time.Second)
	if d%time.Minute == 0 {
		unit, n = "minute", int64(d/time.Minute)
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// loop reads and obeys lines until the user leaves.
func (s *shell) loop(ctx context.Context) error {
	for {
		line, err := s.terminal.ReadLine(term.Line{
			Prompt:   s.prompt(ctx),
			History:  s.history,
			Complete: func(text string, cursor int) []term.Suggestion { return s.complete(ctx, text, cursor) },
			Help:     func(text string, cursor int) string { return s.explain(ctx, text, cursor) },
		})
		switch {
		case errors.Is(err, term.ErrInterrupted):
			s.at, s.choice = nil, false
			continue
		case err == nil:
			err = s.obey(ctx, line)
		default:
			err = s.left(err)
		}
		switch {
		case errors.Is(err, errTop):
			s.at, s.choice = nil, false
		case errors.Is(err, errQuit):
			if s.mayLeave(ctx) {
				return errLeave
			}
		case err != nil:
			return err
		}
	}
}

// mayLeave asks for confirmation if something would be left unfinished. The end of the input counts
// as a yes: the user is gone, or meant it.
func (s *shell) mayLeave(ctx context.Context) bool {
	notice, err := s.client.Leaving(ctx)
	if err != nil || notice == "" {
		return true
	}
	for {
		answer, err := s.terminal.ReadLine(term.Line{Prompt: s.fitted(notice + " Leave nevertheless? [N]> ")})
		switch {
		case errors.Is(err, term.ErrInterrupted):
			return false
		case err != nil:
			return true
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return true
		case "", "n", "no":
			return false
		}
		s.print("The answer is yes or no.\n")
	}
}

// prompt asks the appliance for the host name before each line, because it may have changed.
func (s *shell) prompt(ctx context.Context) string {
	if len(s.at) == 0 {
		if name, err := s.client.Hostname(ctx); err == nil {
			s.greeting.Host = name
		}
		return s.greeting.Host + "> "
	}
	if s.choice {
		return "[1]> "
	}
	return "[]> "
}

// obey carries out a line. It returns only errors that end the session or return to the top.
func (s *shell) obey(ctx context.Context, line string) error {
	switch empty := strings.TrimSpace(line) == ""; {
	case empty && s.choice:
		line = "1"
	case empty && len(s.at) == 0:
		return nil
	case empty:
		return s.up(ctx)
	}
	list := parts(line)
	calls, err := s.client.Parse(ctx, api.LineRequest{At: s.at, Line: theirs(list), Abbreviate: true})
	if err != nil {
		// Only for this session, to be corrected: in a line that is not understood, a secret cannot
		// be told from another word.
		s.recall(line)
		return s.report(err)
	}
	secret := slices.ContainsFunc(calls, func(c menu.Call) bool { return c.Secret })
	alone := len(list) == 1 && (list[0].own == "exit" || list[0].own == "?")
	if !secret && !s.choice && !alone {
		s.remember(ctx, line)
	}
	for _, p := range list {
		if p.own != "" {
			if err := s.obeyOwn(ctx, p); err != nil {
				return err
			}
			continue
		}
		call := calls[0]
		calls = calls[1:]
		if err := s.follow(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

// follow enters the menu that a call names, or runs its command.
func (s *shell) follow(ctx context.Context, call menu.Call) error {
	if call.Menu {
		before := s.at
		s.at = call.Path
		if err := s.show(ctx); err != nil {
			return err
		}
		if len(s.at) < len(call.Path) {
			s.at = before // it was refused
		}
		return nil
	}
	if err := s.command(ctx, call); err != nil {
		return err
	}
	switch {
	case s.choice:
		return s.up(ctx)
	case len(s.at) > 0:
		// The command may have changed what the menu shows and which verbs can work.
		return s.show(ctx)
	}
	return nil
}

// remember keeps a line for the arrow keys, now and in later logins.
func (s *shell) remember(ctx context.Context, line string) {
	if s.recall(line) {
		s.client.Remember(ctx, strings.TrimSpace(line))
	}
}

// recall keeps a line for the arrow keys of this session. It reports whether the line differs from
// the last.
func (s *shell) recall(line string) bool {
	line = strings.TrimSpace(line)
	if n := len(s.history); n > 0 && s.history[n-1] == line {
		return false
	}
	s.history = append(s.history, line)
	return true
}

// up moves to the parent menu.
func (s *shell) up(ctx context.Context) error {
	s.at = s.at[:len(s.at)-1]
	return s.show(ctx)
}

// show prints the menu of the prompt. At the top it prints nothing: `help` lists the commands.
func (s *shell) show(ctx context.Context) error {
	s.choice = false
	if len(s.at) == 0 {
		return nil
	}
	view, err := s.client.Menu(ctx, s.at)
	if err != nil {
		s.at = s.at[:len(s.at)-1]
		return s.report(err)
	}
	var b strings.Builder
	if view.Status != "" {
		fmt.Fprintf(&b, "\n%s", view.Status)
	}
	if s.choice = view.Choice != ""; s.choice {
		fmt.Fprintf(&b, "\n%s:\n", view.Choice)
		for _, item := range view.Items {
			fmt.Fprintf(&b, "%d. %s\n", item.Number, item.Help)
		}
		return s.print(b.String())
	}
	b.WriteString("\nChoose the operation you want to perform:\n")
	for _, item := range view.Items {
		fmt.Fprintf(&b, "- %s - %s\n", strings.ToUpper(item.Keyword), item.Help)
	}
	return s.print(b.String())
}

// report shows a failure. It returns the errors that end the session.
func (s *shell) report(err error) error {
	var known *menu.Error
	if errors.As(err, &known) {
		return s.print(known.Error() + "\n")
	}
	return err
}

// fitted breaks the lines of a text at blanks where the window would break them in a word. A
// terminal without abilities gets them unchanged, because a program reads them.
func (s *shell) fitted(text string) string {
	if s.terminal.Dumb() {
		return text
	}
	width, _ := s.terminal.Size()
	return term.Wrapped(text, width)
}

// print shows the shell's own texts: menus, questions, messages.
func (s *shell) print(text string) error {
	_, err := s.terminal.WriteString(s.fitted(text))
	return err
}

func (s *shell) printf(format string, args ...any) error {
	return s.print(fmt.Sprintf(format, args...))
}
