package capture

// LeftOut is an interface that a capture of all interfaces takes no packets from, because its
// filter cannot be applied there: a tunnel without Ethernet has no Ethernet addresses.
type LeftOut struct {
	Interface string `json:"interface"`
	Reason    string `json:"reason"`
}
