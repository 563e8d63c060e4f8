package access

import "time"

// NoScenario is the name that means no scenario, in any case.
const NoScenario = "NONE"

// A Scenario is a named bundle for captures: options, and lines of commands whose output before and
// after a capture tells what was so and what changed.
type Scenario struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Options     map[string]any `json:"options"` // of a capture, by their names in JSON
	PortLog     bool           `json:"portLog"` // the port log runs while the capture does
	Tables      []Table        `json:"tables"`  // that are read before and after
	Vendor      bool           `json:"vendor"`  // it is not the appliance's own
}

// A Table is a line of one command whose output is kept.
type Table struct {
	Title string `json:"title" yaml:"title"`
	Line  string `json:"line" yaml:"line"`
}

// An Activity is something that runs on the appliance now.
type Activity struct {
	Name   string    `json:"name"`
	Type   string    `json:"type"` // capture, flows, drops, port log, live view, copy, report
	State  string    `json:"state"`
	Since  time.Time `json:"sinceTime,omitzero"`
	Bytes  int64     `json:"bytes"`
	Owner  string    `json:"owner,omitempty"`
	Detail string    `json:"detail,omitempty"` // how much there is, for whom, or why it stands still
}
