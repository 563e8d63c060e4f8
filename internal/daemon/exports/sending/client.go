package sending

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// A Client speaks HTTPS with the host of a destination: through its proxy, and with whom it trusts
// alone. Each connection ends when nothing passes for too long.
type Client struct {
	*http.Client
	Transport *http.Transport
	to        Destination
	other     atomic.Pointer[HostKeyError] // the host has another key
}

// NewClient returns a client for a destination. It trusts the pinned certificate alone, or whom the
// destination's authorities vouch for.
func NewClient(to Destination, silence time.Duration) *Client {
	c := &Client{to: to}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: to.Roots}
	if to.HostKey != "" {
		// The pin takes the place of authorities and names.
		config.InsecureSkipVerify = true
		config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return errors.New("no certificate")
			}
			if found := Fingerprint(raw[0]); found != to.HostKey {
				other := &HostKeyError{found}
				c.other.Store(other)
				return other
			}
			return nil
		}
	}
	dialer := net.Dialer{Timeout: dialTime}
	c.Transport = &http.Transport{
		TLSClientConfig: config, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: silence, DisableCompression: true,
		ExpectContinueTimeout: time.Second, // servers that do not know it say nothing
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return quietConn{conn, silence}, nil
		},
	}
	if to.Proxy != nil {
		c.Transport.Proxy = http.ProxyURL(to.Proxy)
		c.Transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return to.noWay(answer.StatusCode)
			}
			return nil
		}
	}
	// A redirect would take the secret to another place.
	c.Client = &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c
}

// First returns the error that a copy ends by: the wrong key, if that is what broke the connection,
// else err.
func (c *Client) First(err error) error {
	if other := c.other.Load(); other != nil {
		return other
	}
	return err
}

// Lost returns the error of a request that has no answer, as First does.
func (c *Client) Lost(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	var way *net.OpError
	if c.to.Proxy != nil && errors.As(err, &way) && (way.Op == "proxyconnect" || way.Op == "socks connect") {
		return Unreachable(err, "there is no way to the host %s through the proxy %s", c.to.URL.Hostname(), c.to.Proxy.Hostname())
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return Unreachable(err, "the certificate of the host %s is not valid by the clock of the appliance, where it is %s", c.to.URL.Hostname(),
			time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return Unreachable(err, "no authority that is trusted vouches for the certificate of the host %s", c.to.URL.Hostname())
	}
	return c.First(Unreachable(err, "the host %s does not answer", c.to.URL.Hostname()))
}

// mostSkew is how much two clocks may differ before users are told.
const mostSkew = 5 * time.Minute

// wrongClock returns what is told when the clock of a host that refuses differs from ours, after the
// reason; "" if it does not, or the host does not tell.
func wrongClock(h http.Header, now time.Time) string {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	skew, way := now.Sub(theirs), "ahead of"
	if skew < 0 {
		skew, way = -skew, "behind"
	}
	if skew < mostSkew {
		return ""
	}
	return fmt.Sprintf("; the clock of the appliance is %s %s that of the target", skew.Round(time.Second), way)
}

// Fingerprint returns the fingerprint of a certificate, in the form that SSH keys have theirs.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// longestRetry bounds what RetryAfter returns.
const longestRetry = 24 * time.Hour

// RetryAfter returns how long the host of an answer asks to wait (RFC 9110, section 10.2.3): 0 if it
// does not ask, and a day at most. A date is measured by the host's own clock if it tells it.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, longestRetry)
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		now = theirs
	}
	return max(0, min(until.Sub(now), longestRetry))
}
