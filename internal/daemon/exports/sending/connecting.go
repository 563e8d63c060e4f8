package sending

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/proxy"

	"diagsh/diag/dns"
)

const (
	// dialTime bounds connecting, with the login.
	dialTime = 20 * time.Second

	// Silence is how long nothing may pass on a connection before it ends.
	Silence = time.Minute
)

// CheckProxy returns what is wrong with the URL of a proxy, for users. TLS to the proxy itself is
// not offered: what goes through it is encrypted by itself.
func CheckProxy(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "socks5", u.Hostname() == "":
		return errors.New("a proxy is http://HOST:PORT or socks5://HOST:PORT")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return errors.New("a proxy ends with its port")
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return errors.New("a port is a number from 1 to 65535")
	}
	if _, err := dns.ASCII(u.Hostname()); err != nil {
		return errors.New("the proxy has a name that the DNS cannot have")
	}
	return nil
}

// address returns the host and the port of a target; port is the one that its scheme has.
func address(u *url.URL, port string) string {
	host, err := dns.ASCII(u.Hostname())
	if err != nil {
		host = u.Hostname() // a target has no such host
	}
	return net.JoinHostPort(host, cmp.Or(u.Port(), port))
}

// dial connects to the host of a destination, through its proxy if it has one. Its error is an
// *Error.
func (to Destination) dial(ctx context.Context, port string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	dialer := net.Dialer{}
	there := address(to.URL, port)
	if to.Proxy == nil {
		conn, err := dialer.DialContext(ctx, "tcp", there)
		if err != nil {
			return nil, Unreachable(err, "the host %s does not answer", to.URL.Hostname())
		}
		return conn, nil
	}
	if to.Proxy.Scheme == "socks5" {
		return to.dialSOCKS(ctx, there)
	}
	conn, err := dialer.DialContext(ctx, "tcp", address(to.Proxy, "80"))
	if err != nil {
		return nil, Unreachable(err, "the proxy %s does not answer", to.Proxy.Hostname())
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	through, err := to.connect(conn, there)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return through, nil
}

func (to Destination) dialSOCKS(ctx context.Context, there string) (net.Conn, error) {
	var auth *proxy.Auth
	if to.Proxy.User != nil {
		password, _ := to.Proxy.User.Password()
		auth = &proxy.Auth{User: to.Proxy.User.Username(), Password: password}
	}
	// The dialer of SOCKS5 always knows contexts, although its type does not say so.
	dialer, err := proxy.SOCKS5("tcp", address(to.Proxy, "1080"), auth, &net.Dialer{})
	if err != nil {
		return nil, Unreachable(err, "the proxy %s cannot be used", to.Proxy.Hostname())
	}
	conn, err := dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", there)
	if err != nil {
		return nil, Unreachable(err, "there is no way to the host %s through the proxy %s", to.URL.Hostname(), to.Proxy.Hostname())
	}
	return conn, nil
}

// connect asks an HTTP proxy for a way to there (RFC 9110, section 9.3.6).
func (to Destination) connect(conn net.Conn, there string) (net.Conn, error) {
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: there}, Host: there, Header: http.Header{}}
	if u := to.Proxy.User; u != nil {
		password, _ := u.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := r.Write(conn); err != nil {
		return nil, Unreachable(err, "the connection to the proxy %s broke off", to.Proxy.Hostname())
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, r)
	if err != nil {
		return nil, Unreachable(err, "the connection to the proxy %s broke off", to.Proxy.Hostname())
	}
	if answer.StatusCode != http.StatusOK {
		return nil, to.noWay(answer.StatusCode)
	}
	return &begunConn{conn, in}, nil
}

// noWay says that an HTTP proxy refuses a way.
func (to Destination) noWay(status int) error {
	return Unreachable(nil, "the proxy %s opens no way to the host %s: HTTP status %d", to.Proxy.Hostname(), to.URL.Hostname(), status)
}

// A begunConn is read from the buffer that its beginning was read into: a server may speak first,
// and then its first words can be there with the answer of the proxy.
type begunConn struct {
	net.Conn
	in *bufio.Reader
}

func (c *begunConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// A quietConn ends when nothing passes for too long.
type quietConn struct {
	net.Conn
	silence time.Duration
}

func (c quietConn) Read(p []byte) (int, error) {
	c.Conn.SetReadDeadline(time.Now().Add(c.silence))
	return c.Conn.Read(p)
}

func (c quietConn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(c.silence))
	return c.Conn.Write(p)
}
