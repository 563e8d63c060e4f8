package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"

	"diagsh/internal/spawn"
)

// The names of the listeners that the front is handed.
const (
	sshListener   = "ssh"
	httpsListener = "https"
)

// The address of HTTPS if --https names none, and the value that switches it off.
const (
	httpsAddress = "127.0.0.1:8443"
	httpsOff     = "off"
)

// listeners are the sockets on which the front accepts clients.
type listeners struct {
	ssh   *net.TCPListener
	https *net.TCPListener // nil: it is off
}

// listen opens the listeners of a start.
func listen(f serveFlags, log *slog.Logger) (l listeners, err error) {
	if l.ssh, err = listenTCP(f.ssh); err != nil {
		return l, fmt.Errorf("the SSH address %s cannot be used: %w", f.ssh, err)
	}
	if f.https == httpsOff {
		return l, nil
	}
	l.https, err = listenTCP(f.https)
	switch {
	case err == nil:
	case errors.Is(err, syscall.EADDRINUSE) && !f.httpsNamed:
		// Another program has the address that nobody chose. That is no reason to be out of reach.
		log.Error("HTTPS is off: its address is in use. Name another one with --https", "address", f.https)
		err = nil
	default:
		err = fmt.Errorf("the HTTPS address %s cannot be used: %w", f.https, err)
		l.close()
	}
	return l, err
}

func listenTCP(address string) (*net.TCPListener, error) {
	l, err := whenFree(func() (net.Listener, error) { return net.Listen("tcp", address) })
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// ports are those that captures leave out.
func (l listeners) ports() []uint16 {
	ports := []uint16{portOf(l.ssh)}
	if l.https != nil {
		ports = append(ports, portOf(l.https))
	}
	return ports
}

func portOf(l *net.TCPListener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// handed returns the listeners in the form that is handed to the front.
func (l listeners) handed() ([]spawn.Listener, error) {
	ssh, err := spawn.ListenerOf(sshListener, l.ssh)
	if err != nil || l.https == nil {
		return []spawn.Listener{ssh}, err
	}
	https, err := spawn.ListenerOf(httpsListener, l.https)
	return []spawn.Listener{ssh, https}, err
}

// close closes the listeners here.
func (l listeners) close() {
	l.ssh.Close()
	if l.https != nil {
		l.https.Close()
	}
}

// page returns the address of the page, for a browser on this machine.
func (l listeners) page() string {
	address := l.https.Addr().(*net.TCPAddr)
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(address.Port)) + "/"
}
