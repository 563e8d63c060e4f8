package filter

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"testing"

	"diagsh/internal/test/netnstest"
)

// A libpcap compiles expressions in a process that stays. tcpdump would be started thousands of times
// for the same library, which takes ten times as long as the compiling.
type libpcap struct {
	tb        testing.TB
	process   *exec.Cmd
	questions io.WriteCloser
	answers   *bufio.Reader
	asked     int
}

// askedOfTcpdumpToo is of how many questions one is asked of tcpdump too, which must answer the same.
const askedOfTcpdumpToo = 25

func newLibpcap(tb testing.TB) *libpcap {
	tb.Helper()
	l := &libpcap{tb: tb}
	l.start()
	tb.Cleanup(l.stop)
	return l
}

func (l *libpcap) start() {
	l.tb.Helper()
	l.process = exec.Command(netnstest.Tool(l.tb, "python3"), "testdata/libpcap.py")
	questions, err := l.process.StdinPipe()
	if err != nil {
		l.tb.Fatal(err)
	}
	answers, err := l.process.StdoutPipe()
	if err != nil {
		l.tb.Fatal(err)
	}
	l.questions, l.answers = questions, bufio.NewReader(answers)
	if err := l.process.Start(); err != nil {
		l.tb.Fatal(err)
	}
}

func (l *libpcap) stop() {
	l.questions.Close()
	l.process.Wait()
}

// ask returns libpcap's program for a handle that is no interface, or its refusal. If libpcap ends the
// process, that is the refusal.
func (l *libpcap) ask(h handle, expression string, optimise bool) (*Program, string) {
	l.tb.Helper()
	program, refusal := l.compile(h, expression, optimise)
	if l.asked++; l.asked%askedOfTcpdumpToo == 0 {
		theirs, refused := h.tcpdump(l.tb, expression, optimise)
		if !reflect.DeepEqual(program, theirs) {
			l.tb.Errorf("%s: %s: libpcap says %v %s, tcpdump %v %s", h, expression, program, refusal, theirs, refused)
		}
	}
	return program, refusal
}

func (l *libpcap) compile(h handle, expression string, optimise bool) (*Program, string) {
	l.tb.Helper()
	link, file := h.args[1], ""
	if h.args[0] == "-r" {
		link, file = "", h.args[1]
	}
	question, err := json.Marshal([]any{link, file, optimise, expression})
	if err != nil {
		l.tb.Fatal(err)
	}
	var answer []byte
	if _, err = l.questions.Write(append(question, '\n')); err == nil {
		answer, err = l.answers.ReadBytes('\n')
	}
	if err != nil {
		l.questions.Close()
		end := l.process.Wait()
		l.start()
		return nil, fmt.Sprint("libpcap ended the process: ", end)
	}
	var refusal string
	if json.Unmarshal(answer, &refusal) == nil {
		return nil, refusal
	}
	var numbers [][4]uint32
	if err := json.Unmarshal(answer, &numbers); err != nil {
		l.tb.Fatalf("%s: %v", answer, err)
	}
	program := &Program{}
	for _, n := range numbers {
		program.Instructions = append(program.Instructions, Instruction{uint16(n[0]), uint8(n[1]), uint8(n[2]), n[3]})
	}
	return program, ""
}
