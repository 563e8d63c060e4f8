package capture

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// NumberedName returns name with a number of four or more digits before its extension.
func NumberedName(name string, number int) string {
	extension := path.Ext(name)
	return fmt.Sprintf("%s-%04d%s", strings.TrimSuffix(name, extension), number, extension)
}

// FileNumber returns the number of a file of a capture, as NumberedName wrote it: 1 for name
// itself. It reports false if file is no file of the capture.
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

// PartName returns the name of a file while it is being written: hidden, and with an extension that
// no tool takes for a capture.
func PartName(final string) string { return "." + final + ".part" }

// FinalName returns the name that PartName got. It reports false if part is not the name of a file
// that is being written.
func FinalName(part string) (string, bool) {
	name, dot := strings.CutPrefix(part, ".")
	name, end := strings.CutSuffix(name, ".part")
	return name, dot && end && name != ""
}
