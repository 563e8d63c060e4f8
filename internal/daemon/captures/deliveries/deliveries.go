// Package deliveries says where the files of a capture go at a target, and what became of them
// there.
package deliveries

import (
	"diagsh/capture"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/exports"
)

// Place returns the place of a file of a capture at a target, "" if its name says it. first is the name
// of the first file of the capture.
func Place(first string, d capture.Delivery, target, file string) string {
	if target != d.Target {
		return ""
	}
	if kind, is := beside.KindOf(first, file); is {
		return d.PlaceBeside(string(kind))
	}
	number, _ := capture.FileNumber(first, file)
	return d.Place(number)
}

// Count sets in each status what became of the copies of its files.
func Count(list []capture.Status, standing map[string]exports.Standing) {
	for i := range list {
		s := &list[i]
		s.FilesAwaitingExport, s.FilesFailedExport, s.ExportError = 0, 0, ""
		for _, name := range s.FileNames() {
			is := standing[name]
			if is.Waits {
				s.FilesAwaitingExport++
			}
			if is.Failed {
				s.FilesFailedExport++
			}
			if is.Error != "" && (s.ExportError == "" || is.Failed) {
				s.ExportError = is.Error
			}
		}
	}
}
