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

// A Request asks for a capture to start. Members of the Spec that are zero take the Settings' values, except where zero is a value
// of its own and the pointer beside says that it was given.
type Request struct {
	Spec
	Management *bool   `json:"management,omitempty"` // nil: as the Settings say
	FilterText *string `json:"filterText,omitempty"` // nil: as the Settings say; empty: no filter
	Snap       *int    `json:"snap,omitempty"`       // nil: as the Settings say; 0: whole packets
}

// An InterfaceInfo is an interface that can be captured on.
type InterfaceInfo struct {
	Name      string   `json:"name"`
	Up        bool     `json:"up"`
	Loopback  bool     `json:"loopback"`
	LinkType  string   `json:"linkType"` // Ethernet, raw IP, ...
	Addresses []string `json:"addresses"`
}
