//go:build !amd64 && !arm64

package afpacket

func prefetch(*byte) {}
