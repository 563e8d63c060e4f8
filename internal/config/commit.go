package config

import (
	"fmt"
	"strings"
	"time"

	"diagsh/internal/menu"
)

// A Commit is a configuration that was committed.
type Commit struct {
	Number  int       `json:"number"`
	Time    time.Time `json:"time"`
	User    string    `json:"user"`
	Comment string    `json:"comment"`
	Changes []Change  `json:"changes"`
	// Kept reports whether rollbackconfig can restore this configuration.
	Kept bool `json:"kept"`
	// Until is when the commit is rolled back unless it is confirmed.
	Until *time.Time `json:"confirmUntilTime,omitempty"`
}

// A Request says how to commit.
type Request struct {
	Comment string
	Confirm time.Duration // roll back after this time unless confirmed; 0: never
	Forget  bool          // do not keep the previous configuration for rollbackconfig
	Merge   bool          // the caller knows what others committed meanwhile, and commits on top of it
}

// A View is the configuration as one user sees it.
type View struct {
	Running   Document // the last commit's
	Candidate Document // with the user's own changes
	Changes   []Change // from Running to Candidate
	Last      Commit   // the commit that made Running
	// Underneath has the commits of others since the user's first change, the oldest first.
	Underneath []Commit
	// Elsewhere has the changes that other sessions of the same user made to Candidate since this
	// session's last one.
	Elsewhere []Change
	// Waiting is the commit that must be confirmed, or nil.
	Waiting  *Commit
	Warnings []Warning
}

// A Warning is a sentence about a side effect of a change.
type Warning struct {
	Path Path // of the change
	Text string
}

// A Saved is a file of the configuration directory.
type Saved struct {
	Name  string    `json:"name"`
	Bytes int64     `json:"bytes"`
	Time  time.Time `json:"time"`
}

// SavedSuffix ends the name of each.
const SavedSuffix = ".yaml"

// Is reports whether name, with or without the suffix, means the file.
func (s Saved) Is(name string) bool {
	return name != "" && strings.TrimSuffix(name, SavedSuffix)+SavedSuffix == s.Name
}

// Underneath writes what commits changed, a line for each commit and change.
func Underneath(commits []Commit) string {
	var b strings.Builder
	for _, c := range commits {
		fmt.Fprintf(&b, "  commit %d by %s at %s", c.Number, c.User, menu.UTC(c.Time))
		if c.Comment != "" {
			fmt.Fprintf(&b, " (%s)", c.Comment)
		}
		b.WriteString("\n")
		for _, change := range c.Changes {
			fmt.Fprintf(&b, "    %s\n", change)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ChangeLines writes changes, a line each.
func ChangeLines(changes []Change) string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, "  "+c.String())
	}
	return strings.Join(lines, "\n")
}

// String writes the change in one line.
func (c Change) String() string {
	switch {
	case c.Before == "":
		return fmt.Sprintf("%s: %s", c.Setting, shown(c.After))
	case c.After == "":
		return fmt.Sprintf("%s: %s -> not set", c.Setting, shown(c.Before))
	}
	return fmt.Sprintf("%s: %s -> %s", c.Setting, shown(c.Before), shown(c.After))
}

// shown returns a value in one line.
func shown(value string) string {
	if first, _, more := strings.Cut(value, "\n"); more {
		return first + " ..."
	}
	return value
}
