package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/internal/api"
	"diagsh/internal/confine"
)

// session runs the process of one login and returns the exit status. Descriptor 3 is its connection
// to the appliance, and its only way out.
func session() int {
	nameProcess("diagsh-session")
	connection := os.NewFile(3, "appliance")
	own := ownUser(connection)
	client, err := api.Inherit(connection)
	if err != nil {
		fmt.Fprintln(os.Stderr, "diagsh: session is started by diagsh serve, for a login.")
		return exitUsage
	}
	if err := confine.Session(own); err != nil {
		fmt.Fprintln(os.Stderr, "diagsh: The session could not be confined, so it does not begin.")
		return exitFailed
	}
	line, given := os.LookupEnv("SSH_ORIGINAL_COMMAND")
	return run(client, line, given)
}

// nameProcess sets the name that top and ps show (PR_SET_NAME in prctl(2)). Without it they show
// "exe" for a process that was started as /proc/self/exe.
func nameProcess(name string) {
	text, _ := unix.BytePtrFromString(name)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0)
}

// ownUser reports whether this process has a user of its own, other than the appliance, which made
// the connection.
func ownUser(connection *os.File) (own bool) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		appliance, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		own = err == nil && int(appliance.Uid) != os.Geteuid()
	})
	return own
}
