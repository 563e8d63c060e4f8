// Command write writes the licenses of the program in the current folder to standard output: `make
// licenses`.
package main

import (
	"fmt"
	"os"

	"diagsh/internal/licenses"
)

func main() {
	text, err := licenses.Text()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}
