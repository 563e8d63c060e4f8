// Command diagsh is the command line of a network appliance. The one binary is several programs:
// the appliance, the front that listens on the network for it, the session of one login, the shell
// on this machine, and the filter compiler. The first argument decides which. serve.go joins the
// parts of the appliance.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"diagsh/capture/filter/filtercmd"
)

const (
	product = "diagsh"

	exitFailed = 1
	exitUsage  = 2
)

func main() {
	args := os.Args[1:]
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	switch word {
	case "serve":
		os.Exit(serve(args[1:]))
	case "front":
		os.Exit(front(args[1:]))
	case "session":
		os.Exit(session())
	case "raid":
		os.Exit(raidOrder(args[1:]))
	case "filter":
		os.Exit(filtercmd.Main(args[1:], os.Stdin, os.Stdout, os.Stderr))
	default:
		os.Exit(local(args))
	}
}

// newFlags returns a flag set that prints nothing; wrongFlags reports its errors.
func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// wrongFlags prints in a sentence what package flag found wrong, and returns the exit status.
func wrongFlags(flags *flag.FlagSet, err error) int {
	sentence := "The value of an option is not valid"
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
		sentence = "Unknown option " + name
	} else if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: "); ok {
		sentence = name + " needs a value"
	}
	fmt.Fprintf(os.Stderr, "diagsh: %s. %s --help lists the options.\n", sentence, flags.Name())
	return exitUsage
}
