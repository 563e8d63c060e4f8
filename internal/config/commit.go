package config

import (
	"fmt"
	"strings"
	"time"

	"diagsh/internal/menu"
)

// A Commit is a configuration that came to hold.
type Commit struct {
	Number  int       `json:"commit"`
	Time    time.Time `json:"time"`
	User    string    `json:"user"`
	Comment string    `json:"comment"`
	Changes []Change  `json:"changes"`
	// Kept says that rollbackconfig can bring this configuration back.
	Kept bool `json:"kept"`
	// Until is when the commit is rolled back unless it is confirmed.
	Until *time.Time `json:"confirmUntil,omitempty"`
}

// A Request is how a commit is to be done.
type Request struct {
	Comment string
	Confirm time.Duration // rolled back after so long unless it is confirmed; 0: it stays
	Forget  bool          // the configuration that held until now is not kept for rollbackconfig
	Merge   bool          // the caller knows what others committed meanwhile, and commits on top of it
}

// A View is the configuration as one user sees it.
type View struct {
	Running   Document // what was committed last
	Candidate Document // with the user's own changes
	Changes   []Change // from Running to Candidate
	Last      Commit   // the commit that made Running
	// Underneath are the commits of others since the user began to change something, the oldest first.
	Underneath []Commit
	// Elsewhere is what other sessions of the same user have changed in Candidate since this one did.
	Elsewhere []Change
	// Waiting is the commit that has to be confirmed, nil if none has.
	Waiting  *Commit
	Warnings []Warning
}

// A Warning is a sentence about what a change does beside what it says.
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

// Is reports whether the file is meant by a name, which may lack the suffix.
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

// shown is a value in one line.
func shown(value string) string {
	if first, _, more := strings.Cut(value, "\n"); more {
		return first + " ..."
	}
	return value
}
