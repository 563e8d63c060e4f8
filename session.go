package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/internal/api"
	"diagsh/internal/confine"
)

// session runs the process of one login. Descriptor 3 is its connection to the appliance, and its only way out.
func session() int {
	// It was started as /proc/self/exe, so top and ps would show "exe" (prctl(2)).
	name, _ := unix.BytePtrFromString("diagsh-session")
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
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

// ownUser reports whether this session has a user of its own. The appliance made the connection, and has another one then.
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
