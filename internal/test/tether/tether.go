// Package tether runs programs beside a test that end with it, also when the test is killed.
package tether

import (
	"os"
	"os/exec"
	"sync"
	"testing"
)

// hold runs a program until the other end of a pipe is closed, which the kernel does when the test dies. The
// signal of a parent's death (PR_SET_PDEATHSIG) would come when the thread ends that started the program,
// such as one that was in a network namespace for that.
const hold = `"$@" 3<&- & read -r _ <&3; kill -KILL $!; wait`

// Command returns a command that is not started yet, and a function that ends it and waits for that.
func Command(t testing.TB, name string, arguments ...string) (_ *exec.Cmd, end func()) {
	t.Helper()
	held, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/bin/sh", append([]string{"-c", hold, "sh", name}, arguments...)...)
	c.ExtraFiles = []*os.File{held}
	return c, sync.OnceFunc(func() {
		held.Close()
		ours.Close()
		if c.Process != nil {
			c.Wait()
		}
	})
}
