package assets

import _ "embed"

// Wireshark is a plug-in for Wireshark: it makes fields of what files of packets say of processes and
// drops.
//
//go:embed wireshark/diagsh.lua
var Wireshark string
