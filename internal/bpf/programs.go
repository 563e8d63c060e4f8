package bpf

import _ "embed"

// The objects that Load takes.
var (
	//go:embed programs/drops.o
	Drops []byte // what the kernel drops

	//go:embed programs/ports.o
	Ports []byte // who opens, accepts, uses and closes sockets

	//go:embed programs/process.o
	Process []byte // the packets of one process
)
