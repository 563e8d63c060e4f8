package deliveries

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
)

// A Manifest is the list of the files of a capture at a target, which is copied there after them.
type Manifest struct {
	Host            string         `json:"host"`
	Capture         string         `json:"capture"`
	CaseNumber      string         `json:"caseNumber,omitempty"`
	Comment         string         `json:"comment,omitempty"`
	Operator        string         `json:"operator,omitempty"`
	Interfaces      []string       `json:"interfaces,omitempty"`
	Filter          string         `json:"filter,omitempty"`
	EffectiveFilter string         `json:"effectiveFilter,omitempty"`
	StartTime       time.Time      `json:"startTime,omitzero"`
	EndTime         time.Time      `json:"endTime,omitzero"`
	StopReason      string         `json:"stopReason,omitempty"`
	PacketsWritten  uint64         `json:"packetsWritten"`
	PacketsDropped  *uint64        `json:"packetsDropped,omitempty"` // not there: it is not known
	Files           []ManifestFile `json:"files"`
}

// A ManifestFile is one file of a Manifest.
type ManifestFile struct {
	Name    string `json:"name"`
	Path    string `json:"path"` // below the folder of the target
	Bytes   int64  `json:"bytes"`
	Packets *int64 `json:"packets,omitempty"` // not there: the file is none of packets
	SHA256  string `json:"sha256,omitempty"`
	Copied  bool   `json:"copied"`
	Error   string `json:"error,omitempty"` // why it was not copied
}

// ManifestName returns the name of a manifest. first is the name of the first file of the capture,
// number that of the manifest: a capture that goes on after its end has another one at its next.
func ManifestName(first string, number int) string {
	return strings.TrimSuffix(first, path.Ext(first)) + manifestEnding(number)
}

func manifestEnding(number int) string {
	if number <= 1 {
		return ".manifest.json"
	}
	return fmt.Sprintf(".manifest-%04d.json", number)
}

// IsManifest reports whether a file is a manifest of the capture with this first file.
func IsManifest(first, name string) bool {
	return strings.HasPrefix(name, strings.TrimSuffix(first, path.Ext(first))+".manifest")
}

// ManifestCopy returns the copy of a manifest, for a target.
func ManifestCopy(first string, s capture.Status, target string, number int) []capture.Export {
	e := capture.Export{File: ManifestName(first, number), Manifest: true}
	if target == s.Target {
		e.Path = s.PlaceBeside(manifestEnding(number))
	}
	return Describe(s, []capture.Export{e})
}

// List returns the manifest of a capture whose files have these copies. s has what is known of the
// capture, which may be its name alone.
func List(host string, s capture.Status, copies []capture.Export) Manifest {
	m := Manifest{Host: host, Capture: s.Name, CaseNumber: s.CaseNumber, Comment: s.Comment, Operator: s.Owner, Interfaces: s.Interfaces,
		Filter: s.Filter, EffectiveFilter: s.EffectiveFilter, StartTime: s.StartTime, EndTime: s.EndTime, StopReason: string(s.StopReason),
		PacketsWritten: s.PacketsWritten, PacketsDropped: s.PacketsDropped, Files: []ManifestFile{}}
	for _, e := range copies {
		f := ManifestFile{Name: e.File, Path: e.Path, Bytes: e.Bytes, SHA256: e.SHA256, Copied: e.State == capture.ExportDone}
		if f.Path == "" {
			f.Path = e.File
		}
		if !strings.HasSuffix(e.File, ".flows") && !strings.HasSuffix(e.File, ".drops.pcapng") {
			f.Packets = &e.Packets
		}
		switch {
		case e.State == capture.ExportCancelled:
			f.Error = "The copy was cancelled"
		case !f.Copied:
			f.Error = e.Error
		}
		m.Files = append(m.Files, f)
	}
	return m
}

// Open returns a manifest as a file, which is gone when it is closed.
func (m Manifest) Open() (*os.File, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("manifest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "manifest")
	if _, err := f.Write(append(data, '\n')); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
