package capture

import (
	"fmt"
	"path"
	"strings"
)

// Delivery says to which target the files of one capture are copied as they close, whatever other
// targets get them.
type Delivery struct {
	Target string `json:"target,omitempty" arg:",bound" help:"Copy each file of this capture to this target as it closes (target list)."`

	// TargetPath is the place of the first file there. Others have their number before its extension.
	TargetPath string `json:"targetPath,omitempty" arg:",bound" label:"Place at the target" help:"For programs: the place of the file at the target, such as 2026/03/web.cap, below the folder of its URL; a second file has -0002 before the extension."`
}

// maxPlace is the length of the longest place at a target, in bytes. Names in Azure Blob and S3 have
// room for it and a folder before it.
const maxPlace = 800

// PlainPlace reports whether a file may have this place at a target: names of letters, digits and
// ._=@+~- with slashes between them. None of them is hidden or leads out of the folder.
func PlainPlace(place string) bool {
	if place == "" || len(place) > maxPlace {
		return false
	}
	for name := range strings.SplitSeq(place, "/") {
		if name == "" || name[0] == '.' || len(name) > 200 || strings.Trim(name, placeLetters) != "" {
			return false
		}
	}
	return true
}

const placeLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=@+~-"

// PlainPlaceHint says what PlainPlace accepts.
const PlainPlaceHint = "It is names of letters, digits and ._=@+~- with slashes between them, that begin with no dot"

// check reports what is wrong with a Delivery. The error is a *SpecError.
func (d Delivery) check() error {
	switch {
	case d.TargetPath == "":
	case d.Target == "":
		return &SpecError{Member: "targetPath", Text: "a place at a target needs the target", Hint: "Give target NAME"}
	case !PlainPlace(d.TargetPath):
		return &SpecError{Member: "targetPath", Text: fmt.Sprintf("%q is no place at a target", d.TargetPath), Hint: PlainPlaceHint}
	}
	return nil
}

// Place returns the place at the target of the file that has this number, "" if its name says it.
func (d Delivery) Place(number int) string {
	if d.TargetPath == "" || number <= 1 {
		return d.TargetPath
	}
	return NumberedName(d.TargetPath, number)
}

// PlaceBeside returns the place at the target of a file beside the capture, "" if its name says it.
// ending is what its name has in the place of the extension of the capture's file.
func (d Delivery) PlaceBeside(ending string) string {
	if d.TargetPath == "" {
		return ""
	}
	return strings.TrimSuffix(d.TargetPath, path.Ext(d.TargetPath)) + ending
}
