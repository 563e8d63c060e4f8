// Package quietenv removes the environment variables of go-prompt before go-prompt reads them.
//
// go-prompt reads them in an init function: GO_PROMPT_ENABLE_LOG opens a log file with every line
// typed, GO_PROMPT_ENABLE_ASSERT turns complaints into panics. Removing them in main is too late.
// Go initialises packages in the order of their import paths as far as their imports allow
// (language specification, "Package initialization"). This one needs only os and sorts before
// github.com, so it goes first. Import it for its effect.
package quietenv

import "os"

func init() {
	os.Unsetenv("GO_PROMPT_ENABLE_LOG")
	os.Unsetenv("GO_PROMPT_ENABLE_ASSERT")
}
