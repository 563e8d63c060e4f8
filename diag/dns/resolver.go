package dns

import (
	"context"
	"net"
)

// Resolver asks as /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf say, whatever the program is linked with, and gives up when a
// context ends: that of package net alone waits for a silent name server until its time is over (exchange in net/dnsclient_unix.go,
// Go 1.26, heeds a context's deadline and not its end).
var Resolver = &net.Resolver{
	PreferGo: true,
	Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, server)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() }) // which ends with each exchange
		}
		return conn, err
	},
}
