package commands_test

import (
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/vt"
)

// Events appear while a user follows the log. Ctrl-C ends the command, and is no failure.
func TestTailFollows(t *testing.T) {
	a := appliance.Start(t, appliance.Options{Network: netnstest.New(t)})
	const top = appliance.Host + "> "
	term := a.Terminal("admin", 160, 40)
	term.Prompted(top)
	term.Type("tail audit count 0\r")
	term.Reads("Press Ctrl-C to stop.")
	for _, line := range []string{"version", "whoami"} {
		a.SSH("op", line)
		term.Reads("op from 127.0.0.1  " + line + ": ok")
	}
	term.Type("\x03")
	term.Wait("the prompt", func(s *vt.Screen) bool { return s.Before() == top && s.Row() > 3 })
	for _, e := range a.Audit() {
		if e.User == "admin" && strings.HasPrefix(e.Path, "tail") && e.Result != "ok" {
			t.Errorf("%+v", e)
		}
	}
}
