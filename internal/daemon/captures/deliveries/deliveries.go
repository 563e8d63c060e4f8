// Package deliveries says where the files of a capture go at a target, and what became of them
// there.
package deliveries

import (
	"slices"

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

// Copies returns copies of files of a capture, for a target. first is the name of its first file.
func Copies(first string, s capture.Status, target string, files []string) (list []capture.Export) {
	for _, name := range files {
		e := capture.Export{File: name, Path: Place(first, s.Delivery, target, name)}
		if i := slices.IndexFunc(s.Files, func(f capture.FileInfo) bool { return f.Name == name }); i >= 0 {
			e.Packets = s.Files[i].Packets
		}
		list = append(list, e)
	}
	return Describe(s, list)
}

// Describe notes in copies which capture they are of.
func Describe(s capture.Status, copies []capture.Export) []capture.Export {
	for i := range copies {
		e := &copies[i]
		e.Capture, e.CaseNumber, e.CaptureStart = s.Name, s.CaseNumber, s.StartTime
	}
	return copies
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
