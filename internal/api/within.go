package api

import (
	"context"
	"os"

	"diagsh/internal/menu"
)

// RunWithin runs a command as a part of another command of the caller, such as a report. It
// compares the caller's role as for a single run. The audit log has only the outer command. It
// returns the role that the command requires.
func (s *Server) RunWithin(ctx context.Context, caller menu.Caller, path []string, args map[string]string,
	sink menu.Sink) (menu.Role, error) {
	item, err := s.find(caller, path)
	if err != nil {
		return "", err
	}
	c, ok := item.(*menu.Command)
	if !ok {
		return "", menu.Errorf(menu.Usage, "%q is a menu, not a command", item.Keyword())
	}
	if err := c.Run(ctx, caller, args, s.mayReadPackets(caller), sink); err != nil {
		return c.Role, s.AsError(c.Name, err)
	}
	return c.Role, nil
}

// OpenWithin opens a file of the diagnostic directory as a part of another act of the caller. It
// audits a refusal like that of a download.
func (s *Server) OpenWithin(caller menu.Caller, name string) (*os.File, error) {
	_, f, err := s.openAllowed(caller, name)
	return f, err
}

// RunLineWithin is RunWithin for one command as it is typed.
func (s *Server) RunLineWithin(ctx context.Context, caller menu.Caller, line string, sink menu.Sink) (menu.Role, error) {
	calls, err := s.tree.Parse(nil, line, false, nil)
	if err != nil {
		return "", err
	}
	if len(calls) != 1 {
		return "", menu.Errorf(menu.Usage, "The line is not one command")
	}
	return s.RunWithin(ctx, caller, calls[0].Path, calls[0].Arguments, sink)
}
