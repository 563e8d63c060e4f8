package term

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/vt"
)

func TestTypingIsEchoedAndAnswered(t *testing.T) {
	p := sit(t, "shell", 40, 6)
	p.sees("h> |")
	p.types("s")
	p.sees("h> s|")
	p.types("tatus")
	p.sees("h> status|")
	p.types("\r")
	p.sees("h> status\n[status]\nh> |")
	p.types("status\r") // in one write: go-prompt alone would insert it as text
	p.sees("h> status\n[status]\nh> status\n[status]\nh> |")
	p.types("\x04")
	p.reads("end: Ctrl-D: EOF")
	p.leaves()
}

func TestEditingKeys(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"left and insert", "ac\x1b[Db", "h> ab|c"},
		{"backspace", "abc\x7f", "h> ab|"},
		{"delete", "abc\x1b[D\x1b[D\x1b[3~", "h> a|c"},
		{"home", "abc\x1b[H", "h> |abc"},
		{"end", "abc\x01\x1b[F", "h> abc|"},
		{"application mode arrows", "abc\x1bOD", "h> ab|c"},
		{"ctrl-a ctrl-k", "abc\x01\x0b", "h> |"},
		{"ctrl-e", "abc\x01\x05d", "h> abcd|"},
		{"ctrl-u", "abc def\x1b[D\x15", "h> |f"},
		{"ctrl-w", "abc def\x17", "h> abc |"},
		{"ctrl-d deletes", "abc\x01\x04", "h> |bc"},
		{"alt-b", "abc déf\x1bb", "h> abc |déf"},
		{"alt-b over wide", "abc 日本\x1bb", "h> abc |日本"},
		{"alt-f", "abc def\x01\x1bf", "h> abc| def"},
		{"alt-d", "日本 def\x01\x1bd", "h> | def"},
		{"alt-backspace", "abc déf\x1b\x7f", "h> abc |"},
		{"ctrl-left", "abc def\x1b[1;5D", "h> abc |def"},
		{"ctrl-k in wide text", "日本語\x1b[D\x1b[D\x0b", "h> 日|"},
		{"unknown sequences", "a\x1b[99;99zb\x1b[200~c\x1b[201~\x1bzd", "h> abcd|"},
		{"controls", "a\x00\x11\x13\x1cb", "h> ab|"},
		{"invalid text", "a\xff\u202eb\xc2\x85c", "h> abc|"},
		{"emoji", "a😀b\x7f", "h> a😀|"},
		{"combining", "e\u0301x", "h> e\u0301x|"},
		{"wide in the middle", "日語\x1b[D本", "h> 日本|語"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := sit(t, "shell", 40, 6)
			p.sees("h> |")
			p.types(c.keys)
			p.sees(c.want)
		})
	}
}

func TestClearScreenKeepsTheLine(t *testing.T) {
	p := sit(t, "shell", 40, 6)
	p.types("one\rtwo")
	p.sees("h> one\n[one]\nh> two|")
	p.types("\x0c")
	p.sees("h> two|")
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		name, scene   string
		width, height int
		keys, want    string
	}{
		{"0x0", "shell", 0, 0, "size\rab", "h> size\n80x24\nh> ab|"},
		{"5x3", "shell", 5, 3, "abcdefg", "h> ab\ncdef|g"},
		{"5x3 beyond", "shell", 5, 3, "abcdefghijklmnop", "cdefg\nhijkl\nmnop|"},
		{"5x3 back to the start", "shell", 5, 3, "abcdefghijklmnopq\x01", "h> |ab\ncdefg\nhijkl"},
		{"20x5", "long prompt", 20, 5, "status all", "mail.example.com> st\natus all|"},
		{"20x5 insert before the margin", "long prompt", 20, 5, "status\x01\x06\x06\x06X",
			"mail.example.com> st\naX|tus"},
		{"full row", "long prompt", 20, 5, "st", "mail.example.com> s|t"},
		{"full row and back", "long prompt", 20, 5, "sta\x7f\x7f", "mail.example.com> s|"},
		{"wide at the margin", "wide prompt", 8, 5, "a日本", "日本> a\n日本|"},
		{"wide in one column", "wide prompt", 1, 3, "日x", "?\n|x"},
		{"1 row", "shell", 10, 1, "abcdefghijkl", "hijkl|"},
		{"2 columns", "shell", 2, 6, "日x", "h>\n\n日\nx|"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := sit(t, c.scene, c.width, c.height)
			p.types(c.keys)
			p.sees(c.want)
			p.types("\x15\x0bstatus\r")
			p.until("an answer", func(v *vt.Screen) bool {
				return strings.Contains(strings.ReplaceAll(v.All(), "\n", ""), "[status]")
			})
		})
	}
}

// TestTinyWindowsSurviveEveryKey: in windows with almost no room every key works, whatever is
// shown.
func TestTinyWindowsSurviveEveryKey(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 5}, {2, 2}, {3, 1}, {5, 3}, {0, 0}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			p := sit(t, "helpful", size[0], size[1])
			for _, keys := range []string{
				"n\t\t", "?", "日本😀", "\x01", "\x1b[A", "\x1b[B", "\x12pi", "\x12", "\x07", "\x1bb", "\x15\x0b",
				"raw 日本\\x1b\r", "\t", "\x0c",
				"page 9\r", "  /9\r", "G", "progress\r", "\x03", "secret\r", "abc\r", "size\r",
			} {
				p.types(keys)
			}
			p.resize(max(size[0], 1)+2, max(size[1], 1)+2)
			p.types("\x15\x0bstill-here\r")
			p.until("an answer", func(v *vt.Screen) bool {
				return strings.Contains(strings.ReplaceAll(v.All(), "\n", ""), "[still-here]")
			})
		})
	}
}

func TestLongPromptInASmallWindow(t *testing.T) {
	p := sit(t, "long prompt", 5, 3)
	p.sees("examp\nle.co\nm> |")
}

func TestResizeWhileEditing(t *testing.T) {
	p := sit(t, "shell", 20, 6)
	p.types("one\rabcdefghijklmnopqrstuvwxyz")
	p.sees("h> one\n[one]\nh> abcdefghijklmnopq\nrstuvwxyz|")
	p.resize(40, 6)
	p.endsWith("h> abcdefghijklmnopqrstuvwxyz|")
	p.types("!")
	p.endsWith("h> abcdefghijklmnopqrstuvwxyz!|")
	p.resize(10, 6)
	p.endsWith("h> abcdefg\nhijklmnopq\nrstuvwxyz|!")
	p.types("\r")
	p.until("an answer", func(v *vt.Screen) bool {
		return strings.Contains(strings.ReplaceAll(v.All(), "\n", ""), "[abcdefghijklmnopqrstuvwxyz!]")
	})
}

func TestResizeWhileACommandRuns(t *testing.T) {
	p := sit(t, "shell", 40, 6)
	p.types("hold\r")
	p.reads("holding")
	p.resize(10, 6)
	p.signals(syscall.SIGUSR1)
	p.endsWith("released\nh> |")
	p.types("abcdefghij")
	p.endsWith("h> abcdefg\nhij|")
}

func TestInterruptWhileEditing(t *testing.T) {
	p := sit(t, "shell", 40, 12)
	p.sees("h> |")
	p.types("\x03")
	p.sees("h> ^C\ninterrupted\nh> |")
	p.types("abc")
	p.endsWith("h> abc|")
	p.types("\x03")
	p.endsWith("h> abc^C\ninterrupted\nh> |")
	p.types("x\r")
	p.endsWith("h> x\n[x]\nh> |")
}

// TestInterruptDropsWhatWasTypedAhead: Ctrl-C drops what was typed before it and not read.
func TestInterruptDropsWhatWasTypedAhead(t *testing.T) {
	p := sit(t, "shell", 40, 12)
	p.types("hold\r")
	p.reads("holding")
	p.types("one\rtwo\r\x03three\r")
	p.endsWith("holding\nlast words after interrupted\nh> three\n[three]\nh> |")
}

func TestInterruptTwiceIsHarder(t *testing.T) {
	p := sit(t, "shell", 40, 12)
	p.types("stay\r")
	p.reads("staying")
	p.types("\x03")
	p.reads("soft: interrupted")
	p.types("\x03")
	p.endsWith("hard: interrupted twice\nh> |")
}

func TestInterruptOfAQuestionInsideACommand(t *testing.T) {
	p := sit(t, "shell", 40, 12)
	p.types("ask\r")
	p.endsWith("Sure? [N]> |")
	p.types("y")
	p.endsWith("Sure? [N]> y|")
	p.types("\x03")
	p.endsWith("Sure? [N]> y^C\n\"\" interrupted\nh> |")
	p.types("ask\ry\r")
	p.endsWith("Sure? [N]> y\n\"y\" <nil>\nh> |")
}

func TestWithoutATerminal(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{childEnv + "=shell"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if want := "no terminal: open /dev/tty: no such device or address\n"; err == nil || string(out) != want {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
}

func TestCloseGivesTheTerminalBack(t *testing.T) {
	// Read before the shell starts, which changes it at once.
	var before unix.Termios
	cooked := func(m unix.Termios) unix.Termios { before = m; return m }
	p := sitBefore(t, "shell", 40, 12, cooked)
	p.sees("h> |")
	if during := p.mode(); during.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 || during.Oflag&unix.OPOST == 0 {
		t.Errorf("mode while editing: %+v", during)
	}
	p.types("hold\r")
	p.reads("holding")
	if during := p.mode(); during.Lflag&unix.ISIG != 0 {
		t.Error("Ctrl-C is a signal while a command runs")
	}
	p.types("\x03exit\r")
	p.leaves()
	if after := p.mode(); after != before {
		t.Errorf("mode before: %+v\nand after: %+v", before, after)
	}
}

func TestEndOfInput(t *testing.T) {
	p := sit(t, "shell", 40, 12)
	p.types("abc\x7f\x7f\x7f")
	p.sees("h> |")
	p.types("ab\x01\x04\x04")
	p.sees("h> |")
	p.types("\x04")
	p.reads("end: Ctrl-D: EOF")
	p.leaves()
}

func TestHangUpEndsTheSession(t *testing.T) {
	for _, keys := range []string{"", "abc", "hold\r", "page 99\r", "secret\r", "flood\r"} {
		t.Run(strings.TrimSpace(keys), func(t *testing.T) {
			t.Parallel()
			p := sit(t, "shell", 40, 12)
			p.sees("h> |")
			if keys != "" {
				p.types(keys)
				p.until("something", func(v *vt.Screen) bool { return v.Marked() != "h> |" })
			}
			p.master.Close()
			if err := p.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	p := sit(t, "shell", 40, 12, idleEnv+"=300ms")
	p.types("abc")
	p.reads("end: " + ErrIdle.Error())
	p.leaves()
}

func TestCompletion(t *testing.T) {
	p := sit(t, "helpful", 60, 12)
	p.sees("h> |")
	p.types("n\t")
	p.sees("h> net|")
	p.types("\t")
	p.sees("h> net\n  network  Interfaces, routes, names.\n  netstat  Sockets and counters.\nh> net|")
	p.types("w\t")
	p.endsWith("h> network |")
	p.types("STA\tx")
	p.endsWith("h> network status x|")
	p.types("\x01\x1b[C\x1b[C\x1b[C\t")
	p.endsWith("h> net|work status x")
	p.types("\x05\x15zzz\t")
	p.endsWith("h> zzz|")
	p.types("\x15\t")
	p.endsWith("  network  Interfaces, routes, names.\n  netstat  Sockets and counters.\n" +
		"  status   The state of 日本.\n  boom     Fails.\nh> |")
}

func TestCompletionInASmallWindow(t *testing.T) {
	p := sit(t, "helpful", 22, 4)
	p.types("\t")
	p.sees("h>\n  network  netstat\n  status   boom\nh> |")
	q := sit(t, "helpful", 12, 4)
	q.types("\t")
	q.sees("h>\n  network\n  ... 3 more\nh> |")
}

func TestHelp(t *testing.T) {
	p := sit(t, "helpful", 60, 12)
	p.sees("h> |")
	p.types("net?")
	p.sees("h> net\nafter \"net\" come words\nh> net|")
	p.types("\x01?")
	p.endsWith("h> net\nafter \"\" come words\nh> |net")
	p.types("\x0bsay what?")
	p.endsWith("h> say what?|")
	p.types("\x15why?\r")
	p.endsWith("h> why?\n[why?]\nh> |")
	p.types("a?b")
	p.endsWith("h> a?b|")
}

func TestHistory(t *testing.T) {
	p := sit(t, "helpful", 60, 12)
	p.sees("h> |")
	p.types("draft\x1b[A")
	p.sees("h> ping two|")
	p.types("\x10\x10")
	p.sees("h> ping one|")
	p.types("\x1b[A")
	p.sees("h> ping one|")
	p.types("\x0e\x1b[B")
	p.sees("h> ping two|")
	p.types("\x0e")
	p.sees("h> draft|")
	p.types("\x1b[A\r")
	p.endsWith("[ping two]\nh> |")
}

func TestHostileHistory(t *testing.T) {
	p := sit(t, "hostile history", 60, 12)
	p.sees("h> |")
	p.types("\x1b[A")
	p.sees("h> ^[[2Jold two|")
	p.types("\x15\x12old")
	p.sees("(search) 'old': ^[[2J|old two")
}

func TestHistorySearch(t *testing.T) {
	p := sit(t, "helpful", 60, 12)
	p.types("draft\x12")
	p.sees("(search) '': |draft")
	p.types("ping")
	p.sees("(search) 'ping': |ping two")
	p.types("\x12")
	p.sees("(search) 'ping': |ping one")
	p.types("\x12")
	p.sees("(search) 'ping': |ping one")
	p.types("\x07")
	p.sees("h> draft|")
	p.types("\x12stat\x1b[D")
	p.sees("h> statu|s")
	p.types("\x12\x03")
	p.endsWith("interrupted\nh> |")
	p.types("\x12one\r")
	p.endsWith("h> ping one\n[ping one]\nh> |")
}

func TestAFailingCompleterCostsOneLine(t *testing.T) {
	p := sit(t, "helpful", 100, 12)
	p.sees("h> |")
	for range 3 {
		p.types("boom\t")
		p.endsWith("h> boom\nThe line is lost, please type it again: the editor failed (boom).\nh> |")
		p.types("fine\r")
		p.endsWith("[fine]\nh> |")
	}
}

func TestLinesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	p := sit(t, "helpful", 60, 12)
	p.types("c")
	p.sees("h> c|")
	p.types("ount\r")
	p.until("a count", func(v *vt.Screen) bool { return strings.Contains(v.All(), "files\nh>") })
	_, count, _ := strings.Cut(p.frame(), "\n")
	for range 20 {
		p.types("x")
		p.endsWith("h> x|")
		p.types("\x03")
		p.endsWith("interrupted\nh> |")
		p.types("y")
		p.endsWith("h> y|")
		p.types("\r")
		p.endsWith("[y]\nh> |")
	}
	p.types("count\r")
	p.endsWith(count)
}

func TestOutputComesAboveTheLineBeingEdited(t *testing.T) {
	p := sit(t, "shell", 20, 12)
	p.types("later\rabcdefghijklmnopqrstuvwxyz\x1b[D")
	p.endsWith("h> abcdefghijklmnopq\nrstuvwxy|z")
	p.signals(syscall.SIGUSR1)
	p.sees("h> later\nnews\nh> abcdefghijklmnopq\nrstuvwxy|z")
	p.types("!")
	p.sees("h> later\nnews\nh> abcdefghijklmnopq\nrstuvwxy!|z")
}

func TestSecret(t *testing.T) {
	p := sit(t, "secret", 60, 12)
	p.types("wordx\x7f\r")
	p.sees("Password:\n<word <nil>>\nPassword: |")
	p.types("wrong\x15right\rother\r")
	p.endsWith("Password:\n<right <nil>>\nPassword:\n<other <nil>>\nPassword: |")
	p.types("abc\x03")
	p.endsWith("Password: ^C\n< interrupted>\nPassword: |")
	p.types("\x04")
	p.reads("< Ctrl-D: EOF>")
	p.leaves()
	if strings.Contains(string(p.raw), "wrong") {
		t.Error("the secret was shown")
	}
}

func TestEnvironmentOfGoPromptDoesNothing(t *testing.T) {
	p := sit(t, "shell", 60, 12, "GO_PROMPT_ENABLE_LOG=1", "GO_PROMPT_ENABLE_ASSERT=1")
	p.types("a")
	p.sees("h> a|")
	p.types("\rexit\r")
	p.leaves()
	if _, err := os.Stat(filepath.Join(p.cmd.Dir, "go-prompt.log")); err == nil {
		t.Error("go-prompt wrote its log")
	}
}
