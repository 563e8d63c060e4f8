package main

import (
	"context"
	"net"
	"strconv"
	"time"
)

// freePort returns a TCP port that no socket has on 127.0.0.1. Another process may take it before
// the caller does.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// awaitListener waits at most patience until a connection to a port succeeds. sshd does not say
// when it is ready.
func awaitListener(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
