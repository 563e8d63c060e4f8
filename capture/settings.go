package capture

// Settings are what a capture starts with when nothing else is said. They are kept over restarts.
type Settings struct {
	Interfaces []string `json:"interfaces"` // names, or All alone
	Filter     string   `json:"filter"`
	SnapLength int      `json:"snapLength"` // bytes; 0 keeps whole packets
	Limits     Limits   `json:"limits"`
	// Management keeps the packets of the appliance's own management sessions in the capture. They are left out otherwise.
	Management bool `json:"management"`
}

// A Request asks for a capture to start. What is nil or empty takes the Settings' value.
type Request struct {
	Name       string   `json:"name"` // empty: one is made
	Interfaces []string `json:"interfaces,omitempty"`
	Filter     *string  `json:"filter,omitempty"`     // empty text: no filter
	SnapLength *int     `json:"snapLength,omitempty"` // 0: whole packets
	Format     Format   `json:"format,omitempty"`
	Limits     Limits   `json:"limits"` // members that are 0 take the Settings' values
	Management *bool    `json:"management,omitempty"`
}

// An InterfaceInfo is an interface that can be captured on.
type InterfaceInfo struct {
	Name      string   `json:"name"`
	Up        bool     `json:"up"`
	Loopback  bool     `json:"loopback"`
	LinkType  string   `json:"linkType"` // Ethernet, raw IP, ...
	Addresses []string `json:"addresses"`
}
