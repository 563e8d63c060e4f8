package bpf

import _ "embed"

// The objects that Load takes.
var (
	//go:embed programs/drops.o
	Drops []byte // what the kernel drops
)
