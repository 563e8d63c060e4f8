package daemon

import (
	"fmt"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// Console implements api.Logins.
func (d *Daemon) Console() (menu.Caller, <-chan struct{}, func(), error) {
	return d.attachLocal(localRoot, menu.Administrator, true)
}

// onConsole reports whether a session is that of the terminal which the appliance was started on.
func (d *Daemon) onConsole(caller menu.Caller) bool {
	s, ok := d.registry.session(caller.Session)
	return ok && s.login.console
}

// goesWithConsole says what ends beside the caller's own session when the appliance does; empty if nothing.
func (d *Daemon) goesWithConsole(caller menu.Caller) string {
	var what []string
	running := 0
	for _, c := range d.Captures() {
		if c.State == capture.Running {
			running++
		}
	}
	if running > 0 {
		what = append(what, counted(running, "running capture"))
	}
	var users []string
	others := 0
	for _, s := range d.registry.list() {
		if s.ID != caller.Session {
			others++
			users = append(users, s.User)
		}
	}
	if others > 0 {
		slices.Sort(users)
		what = append(what, fmt.Sprintf("%s of %s", counted(others, "session"), strings.Join(slices.Compact(users), ", ")))
	}
	if len(what) == 0 {
		return ""
	}
	return "Leaving this window ends the appliance, and with it " + strings.Join(what, " and ") + "."
}

// counted writes a number of things: 1 session, 2 sessions.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
