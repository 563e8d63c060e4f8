package daemon

import (
	"fmt"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Greeting implements api.Appliance.
func (d *Daemon) Greeting(caller menu.Caller) access.Greeting {
	g := d.Greet(caller)
	g.Host, g.Product, g.Welcome = d.Hostname(), d.product, d.Welcome()
	g.Notice = d.notice(caller)
	if d.https {
		g.Certificate = d.CertificateFingerprint()
	}
	return g
}

// Leaving returns what a user who leaves the menus should know, "" if nothing.
func (d *Daemon) Leaving(caller menu.Caller) string {
	var sentences []string
	if text := d.commitsRoom.Leaving(caller); text != "" {
		sentences = append(sentences, text)
	}
	if d.OnConsole(caller) {
		if text := d.goesWithConsole(caller); text != "" {
			sentences = append(sentences, text)
		}
	}
	return strings.Join(sentences, " ")
}

// goesWithConsole says what ends beside the caller's own session when the appliance does; empty if
// nothing.
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
	for _, s := range d.Sessions() {
		if s.ID != caller.Session {
			others++
			users = append(users, s.User)
		}
	}
	if others > 0 {
		slices.Sort(users)
		what = append(what, fmt.Sprintf("%s of %s", counted(others, "session"), strings.Join(slices.Compact(users),
			", ")))
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
