package term

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// pasted returns a list of commands, and what the shell makes of them.
func pasted(n int) (paste, last string) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "set interface eth%d address 10.0.0.%d description 'line %d'\r", i, i, i)
	}
	return b.String(), fmt.Sprintf("line %d']", n-1)
}

func (p *person) answers(t *testing.T, n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.screen.All()
	for i := range n {
		command := fmt.Sprintf("set interface eth%d address 10.0.0.%d description 'line %d'", i, i, i)
		if got := strings.Count(all, "h> "+command+"\n"); got != 1 {
			t.Fatalf("line %d is echoed %d times", i, got)
		}
		if got := strings.Count(all, "["+command+"]"); got != 1 {
			t.Fatalf("line %d is answered %d times", i, got)
		}
	}
}

func TestPasteLosesNoLine(t *testing.T) {
	for _, n := range []int{30, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := sit(t, "shell", 100, 24)
			p.sees("h> |")
			paste, last := pasted(n)
			p.types(paste)
			p.reads(last)
			p.answers(t, n)
		})
	}
}

func TestPasteWhileACommandRuns(t *testing.T) {
	p := sit(t, "shell", 100, 24)
	p.types("hold\r")
	p.reads("holding")
	paste, last := pasted(300)
	p.types(paste)
	p.signals(syscall.SIGUSR1)
	p.reads(last)
	p.answers(t, 300)
}

func TestPasteBehindATypedLine(t *testing.T) {
	p := sit(t, "shell", 100, 24)
	p.types("st")
	p.endsWith("h> st|")
	p.types("atus\rone\rtwo\rthree")
	p.endsWith("[status]\nh> one\n[one]\nh> two\n[two]\nh> three|")
	p.types(" and\rfour\r")
	p.endsWith("[three and]\nh> four\n[four]\nh> |")
}

// TestPasteBeyondTheQueue pastes more than the queue and the kernel hold together, so that the
// paste itself has to wait.
func TestPasteBeyondTheQueue(t *testing.T) {
	p := sit(t, "shell", 100, 24)
	p.types("hold\r")
	p.reads("holding")
	const n = 8000
	paste, last := pasted(n)
	sent := make(chan error, 1)
	go func() {
		_, err := p.master.WriteString(paste)
		sent <- err
	}()
	p.signals(syscall.SIGUSR1)
	p.reads(last)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := strings.Count(p.screen.All(), "\n[set"); got != n {
		t.Fatalf("%d of %d lines were answered", got, n)
	}
}

func TestBracketedPaste(t *testing.T) {
	p := sit(t, "helpful", 60, 12)
	p.sees("h> |")
	p.types("\x1b[200~one\ttab?\r\ntwo\x1b[31m ?\nthree\x1b[201~?")
	p.endsWith("h> three\nafter \"three\" come words\nh> three|")
	p.reads("[one tab?]\nh> two ?\n[two ?]\n")
}

func TestNewlinesOfEveryKindAreOneEnter(t *testing.T) {
	p := sit(t, "shell", 40, 12)
	p.types("a\nb\r\nc\rd")
	p.sees("h> a\n[a]\nh> b\n[b]\nh> c\n[c]\nh> d|")
}

func TestTooLongALineIsRefused(t *testing.T) {
	p := sit(t, "shell", 80, 24)
	p.sees("h> |")
	go p.master.WriteString(strings.Repeat("x", lineLimit+1) + "\rstatus\r")
	p.endsWith("The line is lost: it is longer than 16384 bytes.\nh> status\n[status]\nh> |")
}
