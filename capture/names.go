package capture

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// NumberedName is the name of the file of that number: it stands before the extension.
func NumberedName(name string, number int) string {
	extension := path.Ext(name)
	return fmt.Sprintf("%s-%04d%s", strings.TrimSuffix(name, extension), number, extension)
}

// FileNumber undoes NumberedName for a file of a capture; a name without a number is
// of number 1. False is for the name of another capture's file.
func FileNumber(name, file string) (int, bool) {
	if file == name {
		return 1, true
	}
	extension := path.Ext(name)
	digits, begins := strings.CutPrefix(file, strings.TrimSuffix(name, extension)+"-")
	digits, ends := strings.CutSuffix(digits, extension)
	n, err := strconv.Atoi(digits)
	return n, begins && ends && err == nil && n > 0 && NumberedName(name, n) == file
}

// PartName is the name of the file of that final name while it is being written:
// hidden, and with an ending that no tool takes for a capture.
func PartName(final string) string { return "." + final + ".part" }

// FinalName undoes PartName; false for a name that is not of a file being written.
func FinalName(part string) (string, bool) {
	name, dot := strings.CutPrefix(part, ".")
	name, end := strings.CutSuffix(name, ".part")
	return name, dot && end && name != ""
}
