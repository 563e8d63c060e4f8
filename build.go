package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// version is the release that this program is, or that it comes after. `make build VERSION=1.2.3`
// sets another.
var version = "0.1.0"

// make build sets these by -X. Go itself stamps no commit in a git worktree, where it finds no
// folder .git, nor with -buildvcs=false.
var (
	buildCommit string // as git describe --always --dirty has it
	buildTime   string // of that commit, RFC 3339
)

// A build names what this program was made from: a commit and its time. Where no commit is known it
// names the program itself, by the first 12 digits of its SHA-256 as sha256sum prints them, and by
// the time of its file.
type build struct {
	source string // a commit, or "program" and the digits
	time   string // RFC 3339; empty if it is not known
}

// thisBuild returns the build of this program: as make stamped it, else as Go did, else by its
// file.
func thisBuild() build {
	if buildCommit != "" {
		return build{buildCommit, buildTime}
	}
	var b build
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				b.source = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.time":
				b.time = s.Value
			case s.Key == "vcs.modified" && s.Value == "true" && b.source != "":
				b.source += "-dirty" // the settings are sorted by their names
			}
		}
	}
	if b.source != "" {
		return b
	}
	return programBuild("/proc/self/exe")
}

// programBuild returns the build of a program file, by its bytes and its time.
func programBuild(path string) build {
	b := build{source: "program not readable"}
	f, err := os.Open(path)
	if err != nil {
		return b
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		b.time = info.ModTime().UTC().Format(time.RFC3339)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err == nil {
		b.source = fmt.Sprintf("program %x", hash.Sum(nil)[:6])
	}
	return b
}
