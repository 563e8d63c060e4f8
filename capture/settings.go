package capture

import "time"

// Settings are what a capture starts with when nothing else is said. They are kept over restarts.
type Settings struct {
	Interfaces      []string  `json:"interfaces"` // names, or All alone
	OnInterfaceGone OnGone    `json:"onInterfaceGone"`
	Filter          string    `json:"filter"`
	Direction       Traffic   `json:"direction"`
	NotPromiscuous  bool      `json:"notPromiscuous"` // only packets that this machine would see anyhow
	SnapLength      int       `json:"snapLength"`     // bytes; 0 keeps whole packets
	HeadersOnly     bool      `json:"headersOnly"`
	Format          Format    `json:"format"`
	Precision       Precision `json:"timePrecision"`
	Mode            Mode      `json:"mode"`
	Limits          Limits    `json:"limits"`
	Rotation        Rotation  `json:"rotation"`
	Persistent      bool      `json:"persistent"`
	Keep            bool      `json:"keep"`
	Comment         string    `json:"comment"`
	CaseNumber      string    `json:"caseNumber"`
	RingBytes       int64     `json:"ringBytes"`
	Rings           int       `json:"rings"`
	CPUs            []int     `json:"cpus"`
	// Management keeps the packets of the appliance's own management sessions in the capture. They are left out otherwise.
	Management bool `json:"management"`
}

// A Request asks for a capture to start: one JSON document. What is nil or empty takes the Settings' value.
type Request struct {
	Name            string    `json:"name"`               // empty: one is made
	Defaults        bool      `json:"defaults,omitempty"` // what is empty takes the value of an appliance's first Settings instead
	Interfaces      []string  `json:"interfaces,omitempty"`
	OnInterfaceGone OnGone    `json:"onInterfaceGone,omitempty"`
	Filter          *string   `json:"filter,omitempty"` // empty text: no filter
	Direction       Traffic   `json:"direction,omitempty"`
	Promiscuous     *bool     `json:"promiscuous,omitempty"`
	SnapLength      *int      `json:"snapLength,omitempty"` // 0: whole packets
	HeadersOnly     *bool     `json:"headersOnly,omitempty"`
	Format          Format    `json:"format,omitempty"`
	Precision       Precision `json:"timePrecision,omitempty"`
	Mode            Mode      `json:"mode,omitempty"`
	Limits          Limits    `json:"limits"`   // members that are 0 take the Settings' values
	Rotation        Rotation  `json:"rotation"` // likewise
	StartAt         time.Time `json:"startAt,omitzero"`
	Persistent      *bool     `json:"persistent,omitempty"`
	Keep            *bool     `json:"keep,omitempty"`
	Comment         *string   `json:"comment,omitempty"`
	CaseNumber      *string   `json:"caseNumber,omitempty"`
	RingBytes       int64     `json:"ringBytes,omitempty"`
	Rings           int       `json:"rings,omitempty"`
	CPUs            []int     `json:"cpus,omitempty"`
	Management      *bool     `json:"management,omitempty"`
}

// An InterfaceInfo is an interface that can be captured on.
type InterfaceInfo struct {
	Name      string   `json:"name"`
	Up        bool     `json:"up"`
	Loopback  bool     `json:"loopback"`
	LinkType  string   `json:"linkType"` // Ethernet, raw IP, ...
	Addresses []string `json:"addresses"`
}
