package appliance_test

import (
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/vt"
)

// The window that the appliance was started in is the appliance: it stays when nobody types there,
// says what leaving it does, and asks before it takes captures and other people's sessions with it.
func TestConsole(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Console: true, Config: "idleTimeout: 1s\n"})
	began := time.Now()
	first := a.Console.All()
	if !strings.Contains(first, "Leaving this window ends the appliance") || strings.Contains(first, "without a key pressed") || strings.Contains(first, "Captures go on") {
		t.Errorf("it says of leaving:\n%s", first)
	}
	op := a.Terminal("op", 80, 24)
	op.Prompted(appliance.Host + "> ")
	op.Reads("This session ends after 1 second without a key pressed. Captures go on.")
	op.Reads("No key was pressed for 1 second")
	op.Ended()
	if idle := time.Since(began); idle < time.Second || !a.Alive() {
		t.Fatalf("after %s in which nobody typed in its own window the appliance is not there any more", idle)
	}
	a.Console.Wait("its prompt", func(s *vt.Screen) bool { return s.Before() == appliance.Host+"> " })

	if r := a.SSH("op", "packetcapture start name kept interface lo"); r.Status != 0 {
		t.Fatal(r)
	}
	watch := a.Terminal("op", 80, 24)
	watch.Prompted(appliance.Host + "> ")
	watch.Type("packetcapture watch kept\r") // nobody is idle while something runs
	watch.Reads("watch kept")
	a.Console.Type("exit\r")
	question := "Leaving this window ends the appliance, and with it 1 running capture and 1 session of op. Leave nevertheless?"
	a.Console.Wait("a question", func(s *vt.Screen) bool {
		return strings.Contains(strings.ReplaceAll(s.All(), "\n", " "), question) && strings.HasSuffix(s.Before(), "[N]> ")
	})
	a.Console.Type("\r")
	a.Console.Wait("its prompt", func(s *vt.Screen) bool { return s.Before() == appliance.Host+"> " })
	watch.Type("\x03\x04")
	if r := a.SSH("op", "packetcapture stop kept; packetcapture delete kept confirm yes"); r.Status != 0 || !a.Alive() {
		t.Fatal(r)
	}
	watch.Ended()
	a.Console.Type("exit\r") // nobody else is there
	await.Until(t, "the end of the appliance", func() bool { return !a.Alive() })
}
