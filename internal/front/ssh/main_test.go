package ssh

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is its own session process, as diagsh is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "session" {
		os.Exit(fakeSession())
	}
	if signal.Ignored(unix.SIGHUP) {
		// Under nohup(1) the programs that the tests hang up would inherit that. A signal that is
		// caught is as it always is for them (execve(2)).
		signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	}
	os.Exit(runTests(m))
}

var hostKeyDir string // of all tests

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "diagsh-hostkeys-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	hostKeyDir = dir
	return m.Run()
}

// fakeSession executes the line of an exec request, or lines that it reads, as the table in
// fakeCommand says. It shows the identity that the connection on descriptor 3 has.
func fakeSession() int {
	connection := os.NewFile(3, "connection")
	identity, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		fmt.Fprintln(os.Stderr, "descriptor 3:", err)
		return 99
	}
	identity = strings.TrimSpace(identity)
	if line, ok := os.LookupEnv("SSH_ORIGINAL_COMMAND"); ok {
		return fakeCommand(line, identity)
	}
	fmt.Printf("hello %s\nfake> ", identity)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "leave" {
			return 0
		}
		fakeCommand(lines.Text(), identity)
		fmt.Print("fake> ")
	}
	return 0
}

func fakeCommand(line, identity string) int {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "echo":
		fmt.Println(rest)
	case "complain":
		fmt.Fprintln(os.Stderr, rest)
	case "exit":
		n, _ := strconv.Atoi(rest)
		fmt.Println("leaving")
		fmt.Fprintln(os.Stderr, "with a word")
		return n
	case "identity":
		fmt.Println(identity)
	case "environment":
		env := os.Environ()
		slices.Sort(env)
		fmt.Println(strings.Join(env, "\n"))
	case "status": // of the process, as proc(5) has it
		text, _ := os.ReadFile("/proc/self/status")
		os.Stdout.Write(text)
	case "arguments":
		text, _ := os.ReadFile("/proc/self/cmdline")
		fmt.Printf("%q\n", text)
	case "descriptors":
		entries, _ := os.ReadDir("/proc/self/fd")
		for _, e := range entries {
			target, _ := os.Readlink("/proc/self/fd/" + e.Name())
			fmt.Println(e.Name(), target)
		}
	case "terminal":
		size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			fmt.Println("none")
			return 0
		}
		modes, _ := unix.IoctlGetTermios(0, unix.TCGETS)
		info, _ := os.Stdin.Stat()
		fmt.Printf("%dx%d erase=%d echo=%v onlcr=%v mode=%v owner=%v\n", size.Col, size.Row, modes.Cc[unix.VERASE],
			modes.Lflag&unix.ECHO != 0, modes.Oflag&unix.ONLCR != 0, info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Uid == uint32(os.Getuid()))
	case "sizes": // prints the size whenever it changes
		changed := make(chan os.Signal, 1)
		signal.Notify(changed, unix.SIGWINCH)
		fmt.Println("ready")
		<-changed
		size, _ := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		fmt.Printf("%dx%d\n", size.Col, size.Row)
	case "copy":
		io.Copy(os.Stdout, os.Stdin)
	case "end": // tells the appliance when the input ends
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		fmt.Fprint(os.NewFile(3, "appliance"), "end")
	case "flood":
		n, _ := strconv.ParseInt(rest, 10, 64)
		io.CopyN(os.Stdout, zeros{}, n)
	case "signals": // prints the signals that it gets, until the second
		got := make(chan os.Signal, 2)
		signal.Notify(got, unix.SIGINT, unix.SIGTERM)
		fmt.Println("ready")
		fmt.Println(<-got)
		fmt.Println(<-got)
	case "die":
		unix.Kill(os.Getpid(), unix.SIGKILL)
		time.Sleep(time.Hour)
	case "stay": // until killed, whatever else is tried
		signal.Ignore(unix.SIGHUP, unix.SIGTERM, unix.SIGINT)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "wait":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	default:
		fmt.Fprintln(os.Stderr, "what?")
		return 2
	}
	return 0
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
