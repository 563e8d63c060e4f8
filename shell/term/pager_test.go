package term

import (
	"strings"
	"syscall"
	"testing"

	"diagsh/internal/test/vt"
)

func TestPagerStops(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 12\r")
	p.sees("line 1\nline 2\nline 3\nline 4\n" + stopLine + "|")
	p.types(" ")
	p.sees("line 5\nline 6\nline 7\nline 8\n" + stopLine + "|")
	p.types("\r")
	p.sees("line 6\nline 7\nline 8\nline 9\n" + stopLine + "|")
	p.types("x")
	p.types("\x1b[6~")
	p.sees("line 9\nline 10\nline 11\nline 12\nh> |")
}

func TestPagerIsSilentWhenAllFits(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 4\r")
	p.sees("line 1\nline 2\nline 3\nline 4\nh> |")
	if strings.Contains(string(p.raw), "-- more --") {
		t.Error("stopped where nothing followed")
	}
}

func TestPagerRunsToTheEnd(t *testing.T) {
	for _, key := range []string{"G", "\x1b[F", "\x1b[4~"} {
		p := sit(t, "shell", 70, 5)
		p.types("page 100\r")
		p.endsWith(stopLine + "|")
		p.types(key)
		p.endsWith("line 100\nh> |")
		if got := strings.Count(p.screen.All(), "line "); got != 100 {
			t.Errorf("%d of 100 lines were shown", got)
		}
	}
}

func TestPagerQuit(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 100\r")
	p.endsWith(stopLine + "|")
	p.types("q")
	p.sees("line 2\nline 3\nline 4\nquit\nh> |")
}

// TestPagerInterrupt: Ctrl-C ends the command, and its last output is shown.
func TestPagerInterrupt(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 100\r")
	p.endsWith(stopLine + "|")
	p.types("\x03")
	p.sees("line 2\nline 3\nline 4\nstopped: interrupted\nh> |")
	p.types("x\r")
	p.endsWith("h> x\n[x]\nh> |")
}

func TestPagerSearch(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 300\r")
	p.endsWith(stopLine + "|")
	p.types("/Xine\x7f\x7f\x7f\x7fLINE 2\x7f20")
	p.endsWith("\n/LINE 20|")
	p.types("\x15line 20\r")
	p.sees("... skipping\nline 20\nline 21\nline 22\n" + stopLine + "|")
	p.types("n")
	p.sees("... skipping\nline 200\nline 201\nline 202\n" + stopLine + "|")
	p.types("n")
	p.sees("line 203\nline 204\nline 205\nline 206\n" + stopLine + "|")
}

func TestPagerSearchInVain(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 9\r")
	p.endsWith(stopLine + "|")
	p.types("/nowhere\r")
	p.sees("(not found: nowhere)\nline 5\nline 6\nline 7\n" + stopLine + "|")
	p.types(" ")
	p.endsWith("line 8\nline 9\nh> |")
}

func TestPagerKeepsPastedLinesForThePrompt(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 20\rone\rtwo\rpage 20\rquit\rthree\r")
	p.endsWith("h> quit\n[quit]\nh> three\n[three]\nh> |")
	all := p.screen.All()
	for _, want := range []string{"h> one\n[one]\n", "h> two\n[two]\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing", want)
		}
	}
	// And a paste that comes after the stop.
	p.types("page 20\r")
	p.endsWith(stopLine + "|")
	p.types("status\rquit\r")
	p.endsWith("[status]\nh> quit\n[quit]\nh> |")
}

func TestPagerLongLines(t *testing.T) {
	p := sit(t, "shell", 20, 5)
	p.types("page 3 50\r")
	stop := fit(stopLine, 19) + "|"
	p.sees("line 1 =============\n====================\n=========#\nline 2 =============\n" + stop)
	p.types("\r")
	p.sees("====================\n=========#\nline 2 =============\n====================\n" + stop)
	p.types(" ")
	p.sees("=========#\nline 3 =============\n====================\n=========#\nh> |")
}

func TestPagerWideCharacters(t *testing.T) {
	p := sit(t, "shell", 21, 5)
	p.types("widepage\r")
	ten := strings.Repeat("日", 10)
	p.sees(strings.Repeat(ten+"\n", 4) + fit(stopLine, 20) + "|")
	p.types(" ")
	p.sees(ten + "\n" + ten + "\n" + ten + "\nafter\nh> |")
}

func TestPagerResize(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("page 30\r")
	p.endsWith(stopLine + "|")
	p.resize(70, 8)
	p.types(" ")
	p.endsWith("line 9\nline 10\nline 11\n" + stopLine + "|")
	p.resize(20, 3)
	p.endsWith("\n" + fit(stopLine, 19) + "|")
	p.types(" ")
	p.sees("line 12\nline 13\n" + fit(stopLine, 19) + "|")
}

func TestPagerInTinyWindows(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {5, 1}, {1, 3}, {2, 2}} {
		p := sit(t, "shell", size[0], size[1])
		p.types("page 3\r")
		for range 30 {
			p.types(" ")
		}
		p.types("\x15done\r")
		p.until("an answer", func(v *vt.Screen) bool {
			return strings.Contains(strings.ReplaceAll(v.All(), "\n", ""), "[done]")
		})
	}
}

func TestPagerOff(t *testing.T) {
	p := sit(t, "shell", 70, 5)
	p.types("pager off\rpage 100\r")
	p.endsWith("line 100\nh> |")
	p.types("pager on\rpage 100\r")
	p.endsWith(stopLine + "|")
}

func TestPagerIdle(t *testing.T) {
	p := sit(t, "shell", 70, 5, idleEnv+"=300ms")
	p.types("page 100\r")
	p.reads("end: " + ErrIdle.Error())
	p.leaves()
}

func TestProgress(t *testing.T) {
	p := sit(t, "shell", 40, 6)
	p.types("progress\r")
	p.sees("h> progress\nholding\n|")
	p.signals(syscall.SIGUSR1)
	p.endsWith("h> progress\nholding\nreleased\nh> |")
	if !strings.Contains(string(p.raw), "20 % done") {
		t.Error("no progress was shown")
	}
}

// TestDumbTerminal: a terminal without abilities gets what is typed and printed, and no control
// character but line feeds: no stop, no redrawn line, no progress.
func TestDumbTerminal(t *testing.T) {
	p := sit(t, "helpful", 20, 5, "TERM=dumb")
	long := "echo " + strings.Repeat("0123456789", 9)
	p.types(long + "\r")
	p.endsWith("]\nh> |")
	p.types("page 30\r")
	p.endsWith("line 30\nh> |")
	p.types("progress\r")
	p.endsWith("holding\n|")
	p.types("\x03")
	p.endsWith("h> |")
	p.types("echo ab")
	p.reads("h> echo ab")
	p.types("\x1b[D\x1b[D" + "X" + "\x7f" + "\x12ping\x07" + "\x15\r")
	p.types("page 3\r")
	p.endsWith("line 3\nh> |")
	p.mu.Lock()
	defer p.mu.Unlock()
	raw := strings.ReplaceAll(string(p.raw), "\r\n", "\n")
	if i := strings.IndexAny(raw, "\x1b\r"); i >= 0 {
		t.Errorf("a control sequence stands in %q", raw[max(0, i-40):min(len(raw), i+40)])
	}
	if !strings.Contains(raw, "h> "+long+"\n") {
		t.Errorf("the echo of %q is not the line: %q", long, raw)
	}
	if strings.Contains(raw, "-- more --") || strings.Count(raw, "line ") != 33 {
		t.Errorf("output stopped, or lines are missing: %q", raw)
	}
}

// TestEchoOfALongLine: a line longer than the window is echoed as it was typed, and the terminal
// itself moves to the next row.
func TestEchoOfALongLine(t *testing.T) {
	p := sit(t, "shell", 20, 5)
	long := strings.Repeat("0123456789", 9)
	for i := range len(long) {
		p.types(long[i : i+1])
		p.until("its echo", func(s *vt.Screen) bool {
			return strings.HasSuffix(strings.ReplaceAll(s.All(), "\n", ""), "h> "+long[:i+1])
		})
	}
	p.types("\r")
	p.endsWith("]\nh> |")
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.Contains(string(p.raw), "h> "+long+"\r\n") {
		t.Errorf("the echo holds more than the line: %q", p.raw)
	}
}
