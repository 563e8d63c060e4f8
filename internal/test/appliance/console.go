package appliance

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"diagsh/internal/test/vt"
)

// A Console is the terminal that an appliance was started on, with the menus on it, as make run
// starts it.
type Console struct {
	*vt.Watcher
	t    testing.TB
	keys *os.File
}

// onConsole gives a program that is about to be started a terminal of its own.
func onConsole(t testing.TB, cmd *exec.Cmd) *Console {
	t.Helper()
	const width, height = 80, 24
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	if err := pty.Setsize(slave, &pty.Winsize{Cols: width, Rows: height}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout = slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return &Console{vt.Watch(master, width, height), t, master}
}

// Type sends keys.
func (c *Console) Type(keys string) {
	c.t.Helper()
	if _, err := c.keys.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// Wait waits for a state of the screen.
func (c *Console) Wait(what string, ok func(*vt.Screen) bool) {
	c.t.Helper()
	if err := c.Until(Patience, ok); err != nil {
		c.t.Fatalf("waiting for %s: %v", what, err)
	}
}
