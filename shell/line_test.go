package shell

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"diagsh/internal/menu"
)

// TestWhiteSpace: every character that Go calls white space separates words, here and in the
// appliance. Pasted text has no-break spaces, and a line of only white space is empty.
func TestWhiteSpace(t *testing.T) {
	spaces := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsSpace(r) {
			continue
		}
		spaces++
		space := string(r)
		for _, line := range []string{space, space + space, ";" + space, space + ";" + space + ";"} {
			if got := parts(line); len(got) != 0 {
				t.Errorf("%q is understood as %v", line, got)
			}
			if commands, err := menu.Split(line); err != nil || len(commands) != 0 {
				t.Errorf("%q is split into %v (%v)", line, commands, err)
			}
		}
		if got := fmt.Sprint(parts(space + "help" + space + "version" + space + ";" + space + "whoami" + space +
			"--json" + space)); got != fmt.Sprint([]part{
			{text: "help" + space + "version", own: "help", args: []string{"version"}},
			{text: "whoami" + space + "--json"}}) {
			t.Errorf("%q divides a line into %s", space, got)
		}
		commands, err := menu.Split("a" + space + "'b" + space + "c'" + space + `d\` + space + "e")
		if err != nil || len(commands) != 1 || len(commands[0]) != 3 || commands[0][1].Text != "b"+space+"c" ||
			commands[0][2].Text != "d"+space+"e" {
			t.Errorf("%q in quotes and behind a backslash: %v (%v)", space, commands, err)
		}
		if again, err := menu.Split(menu.Quote("a" + space + "b")); err != nil || len(again) != 1 ||
			len(again[0]) != 1 || again[0][0].Text != "a"+space+"b" {
			t.Errorf("a word with %q is quoted as %s", space, menu.Quote("a"+space+"b"))
		}
		if p := parts("exit" + space); len(p) != 1 || p[0].own != "exit" || p[0].standsAlone() != nil {
			t.Errorf("exit and %q is understood as %v", space, p)
		}
	}
	if spaces < 20 {
		t.Fatalf("%d white space characters are not all", spaces)
	}
}

func TestOwnWords(t *testing.T) {
	for _, c := range []struct{ line, own, args string }{
		{"exit", "exit", "exit"}, {"EXIT ", "exit", "EXIT"}, {" Quit", "exit", "Quit"},
		{"exit now", "exit", "exit now"},
		{"HELP Version", "help", "version"}, {"?", "?", ""}, {"version ?", "?", ""},
		{"terminal length 0", "terminal", "length 0"}, {"term len 0", "terminal", "len 0"},
		{"set cli screen-length 0", "terminal", "length 0"}, {"set cli screen-width 511", "terminal", "width 511"},
		{"set cli complete-on-space off", "", ""}, {"ter", "", ""}, {"whoami?", "", ""}, {"version", "", ""},
	} {
		p := parts(c.line)
		if len(p) != 1 || p[0].own != c.own || c.own != "" && strings.Join(p[0].args, " ") != c.args {
			t.Errorf("%q is understood as %v", c.line, p)
		}
	}
	if got := theirs(parts("whoami; help; version ?; 'a;b' ; exit; date")); got != "whoami; 'a;b'; date" {
		t.Errorf("the appliance is sent %q", got)
	}
}

func TestWindowSettings(t *testing.T) {
	for _, c := range []struct {
		line string
		want windowSetting
	}{
		{"length 0", windowSetting{"length", 0}}, {"len 0", windowSetting{"length", 0}},
		{"length 1000", windowSetting{"length", 1000}},
		{"length auto", windowSetting{"length", windowItself}}, {"pager 0", windowSetting{"length", 0}},
		{"pager off", windowSetting{"length", 0}},
		{"pager on", windowSetting{"length", windowItself}}, {"pager 24", windowSetting{"length", 24}},
		{"width 511", windowSetting{"width", 511}}, {"WIDTH 0", windowSetting{"width", 0}},
		{"width auto", windowSetting{"width", windowItself}},
	} {
		if got, err := parseWindow(strings.Fields(c.line)); err != nil || got != c.want {
			t.Errorf("terminal %s is %v (%v), not %v", c.line, got, err, c.want)
		}
	}
	for _, line := range []string{"", "length", "length x", "length -1", "length 65536", "width on", "length 0 0",
		"monitor", "length 99999999999999999999"} {
		if got, err := parseWindow(strings.Fields(line)); err == nil {
			t.Errorf("terminal %s is taken for %v", line, got)
		}
	}
}
