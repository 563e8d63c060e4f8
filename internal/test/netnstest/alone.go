package netnstest

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// aloneVariable is set in a process that Alone began anew.
const aloneVariable = "DIAGSH_TEST_ALONE"

// Alone begins the tests of a package anew in a namespace of their own, which has the loopback
// interface only. TestMain calls it, where the interfaces that tests of other packages make and remove
// meanwhile would disturb. Who may not make a namespace stays where he is.
func Alone() {
	if os.Getenv(aloneVariable) != "" || os.Geteuid() != 0 {
		return
	}
	if err := leaveNetwork(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in a network of their own:", err)
		os.Exit(1)
	}
}

// leaveNetwork replaces the process by one in a new namespace. It returns if that fails.
func leaveNetwork() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.NewSyscallError("execve", unix.Exec(self, os.Args, append(os.Environ(), aloneVariable+"=yes")))
}
