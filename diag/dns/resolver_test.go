package dns

import (
	"context"
	"net"
	"testing"
	"time"
)

// Whoever waits for a silent name server is let go when the context ends, not when the server's time is over.
func TestResolverLetsGo(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return Resolver.Dial(ctx, network, silent.LocalAddr().String())
	}}
	for what, look := range map[string]func(context.Context) error{
		"mail exchangers": func(ctx context.Context) error { _, err := r.LookupMX(ctx, "nosuch.example"); return err },
		"a name":          func(ctx context.Context) error { _, err := r.LookupAddr(ctx, "192.0.2.1"); return err },
		"addresses":       func(ctx context.Context) error { _, err := r.LookupNetIP(ctx, "ip", "nosuch.example"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		done := make(chan error, 1)
		go func() { done <- look(ctx) }()
		if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
		cancel()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s: something was found", what)
			}
		case <-time.After(3 * time.Second): // package net's own time is 5 s
			t.Errorf("%s: it waits on", what)
		}
	}
}
