package tether

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/await"
)

// begin runs a program that says its process ID and stays.
func begin(t *testing.T) (pid int, end func()) {
	t.Helper()
	c, end := Command(t, "/bin/sh", "-c", "echo $$; exec sleep 1000")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid, end
}

func TestEnds(t *testing.T) {
	pid, end := begin(t)
	end()
	await.Until(t, "the program's end", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}

// A test that is killed leaves no program behind. The killed one is this program again.
func TestEndsWithATestThatIsKilled(t *testing.T) {
	if os.Getenv("TETHER_TEST") != "" {
		pid, _ := begin(t)
		os.Stdout.WriteString("program " + strconv.Itoa(pid) + "\n")
		select {}
	}
	c := exec.Command(os.Args[0], "-test.run", "^TestEndsWithATestThatIsKilled$")
	c.Env = append(os.Environ(), "TETHER_TEST=yes")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if text, is := strings.CutPrefix(lines.Text(), "program "); is {
			pid, _ = strconv.Atoi(text)
		}
	}
	if pid == 0 {
		t.Fatal("it ran no program")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	await.Until(t, "the program's end", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}
