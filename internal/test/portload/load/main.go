// Command load makes sockets of every kind that a port log must tell right, by many processes, and
// writes who did what with them.
//
//	load run -truth FILE [-n 30] [-rate 2000] [-seconds 2] [-classes PATTERN] [-left NETNS -right NETNS]
//
// It makes the sockets that are older than the log, writes "ready", and goes on when it reads a
// line. Its last line says how much it did, as JSON. It needs root: it makes network namespaces, a
// pid namespace and a cgroup.
//
// Acts are raw system calls, so that a process asks the kernel for nothing that its class does not
// say: an accept(2) without an address is one, and nobody asks for it later.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// init keeps the first thread for main: others take namespaces and names that must not become those
// of the process.
func init() { runtime.LockOSThread() }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) > 0 && args[0] == "run":
		return orchestrate(args[1:])
	case len(args) == 2 && args[0] == "work":
		var j job
		if err := json.Unmarshal([]byte(args[1]), &j); err != nil {
			return err
		}
		return work(j)
	}
	return fmt.Errorf("usage: load run -truth FILE")
}
