package capture

// LeftOut is an interface of a capture of all interfaces from which no packets are taken, because
// the filter cannot be asked about them: there are no Ethernet addresses on a tunnel without
// Ethernet.
type LeftOut struct {
	Interface string `json:"interface"`
	Reason    string `json:"reason"`
}
