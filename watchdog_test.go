package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
)

// A hanging appliance gives one answer for each value that the test sends into the channel.
type hanging chan struct{}

func (h hanging) Captures() []capture.Status {
	<-h
	return []capture.Status{{State: capture.Running}, {State: capture.Stopped}, {State: capture.Running}}
}

func (hanging) Sessions() []access.Session { return make([]access.Session, 3) }

func TestSystemdIsToldWhileTheApplianceLives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	ctx, stop := context.WithCancel(t.Context())
	h, ended := make(hanging), make(chan struct{})
	go func() { tellSystemd(ctx, h, 2222); close(ended) }()
	message := make([]byte, 256)
	for range 3 {
		h <- struct{}{}
		socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := socket.Read(message)
		if want := "WATCHDOG=1\nSTATUS=SSH on port 2222, 3 logged in, 2 captures running"; err != nil ||
			string(message[:n]) != want {
			t.Fatalf("systemd is told %q, %v", message[:n], err)
		}
	}
	// Ten times as long as the unit allows, and the appliance does not answer.
	socket.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := socket.Read(message); err == nil {
		t.Errorf("of an appliance that hangs systemd is told %q", message[:n])
	}
	stop()
	close(h)
	<-ended
}

func TestWithoutSystemdNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	h := make(hanging)
	close(h)
	tellSystemd(t.Context(), h, 2222) // returns
}
