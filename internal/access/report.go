package access

import (
	"time"

	"diagsh/internal/menu"
)

// A ReportRequest describes a report: a bundle for a support engineer, in one file of the
// diagnostic directory.
type ReportRequest struct {
	Case        string
	Contact     string
	Description string
	Files       []string // finished files of the diagnostic directory
	Parts       []ReportPart
}

// A ReportPart is a command whose output is in a report.
type ReportPart struct {
	Title     string
	Path      []string
	Arguments map[string]string
}

// A ReportPage describes a report that is one page.
type ReportPage struct {
	Of      string // what it is about, as a word of its file's name
	Title   string
	Command string // that made it
	Records int    // that it is made of
}

// A Report is a finished report.
type Report struct {
	Name        string    `json:"name"` // of its file
	Time        time.Time `json:"time"`
	Owner       string    `json:"owner"`
	Bytes       int64     `json:"bytes"`
	Case        string    `json:"caseNumber,omitempty"`
	Contact     string    `json:"contact,omitempty"`
	Description string    `json:"description,omitempty"`
	Files       []File    `json:"files"`
	Payload     bool      `json:"payload"` // one of the files contains payload
	Role        menu.Role `json:"role"`    // the least role that may read it: the highest of its parts
	Contents    []Content `json:"contents"`
}

// A Content is the result of a part.
type Content struct {
	Title   string  `json:"title"`
	Command string  `json:"command"`
	Result  string  `json:"result"`         // ok, or the kind of the failure
	Reason  string  `json:"reason"`         // why it failed, or is incomplete
	Page    string  `json:"page,omitempty"` // its files in the bundle
	Data    string  `json:"data,omitempty"`
	Records int     `json:"records"`
	Seconds float64 `json:"seconds"`
}
