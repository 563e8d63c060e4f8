// Package certificates keeps what the appliance shows to clients of TLS: its certificate, and the
// key, which signs handshakes here and never leaves. What speaks TLS is another process: it is
// handed the certificate, and asks for signatures.
//
// There is always a certificate: the first Open makes one that signs itself. One that cannot be
// read or kept does not keep the appliance from being reached: a makeshift takes its place, which
// the log and a notice at login tell.
package certificates

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/internal/menu"
)

// Options are what Certificates need of the rooms around them.
type Options struct {
	Dir string // the data directory
	Log *slog.Logger

	// Hostname is the name of the appliance.
	Hostname func() string
	// System writes into the audit log.
	System func(path, message string, arguments map[string]string)
}

// Certificates are the pairs of certificate and key. Their methods may be called from any
// goroutine.
type Certificates struct {
	o      Options
	folder string

	present atomic.Pointer[pair] // that clients are shown; never nil
	trouble atomic.Pointer[string]

	mu   sync.Mutex // held while a pair is replaced
	rest time.Time  // until then a renewal that failed is not tried again. Guarded by mu
}

// own is the name of the pair that the appliance makes itself.
const own = "own"

// Open reads the pair that the appliance made for itself, or makes it where there is none. It fails
// only where no key can be made.
func Open(o Options) (*Certificates, error) {
	c := &Certificates{o: o, folder: filepath.Join(o.Dir, "certificates")}
	nothing := ""
	c.trouble.Store(&nothing)
	p, err := c.openOwn(time.Now())
	if err != nil {
		return nil, fmt.Errorf("no certificate can be made: %w", err)
	}
	c.present.Store(p)
	return c, nil
}

// openOwn returns the appliance's own pair. Its error is that none can be made.
func (c *Certificates) openOwn(now time.Time) (*pair, error) {
	err := os.MkdirAll(c.folder, 0o700)
	var p *pair
	found := false
	if err == nil {
		p, found, err = c.load(own)
	}
	if found && err == nil {
		return p, nil
	}
	made, failure := selfSigned(hostNames(c.o.Hostname()), now)
	if failure != nil {
		return nil, failure
	}
	if err == nil {
		err = c.keep(own, made)
	}
	if err != nil {
		c.makeshift(made, err)
	}
	return made, nil
}

// makeshift tells everybody who can help that a pair is used that does not outlive this process.
func (c *Certificates) makeshift(p *pair, err error) {
	c.o.Log.Error("the certificate could not be read or kept; a makeshift is shown until the next start",
		"error", err, "fingerprint", p.fingerprint())
	text := "The appliance's certificate could not be read or kept; a makeshift is shown to clients of HTTPS until the next start."
	c.trouble.Store(&text)
}

// Notice returns what is wrong with the certificates, for administrators.
func (c *Certificates) Notice(caller menu.Caller) string {
	if caller.Role != menu.Administrator {
		return ""
	}
	return *c.trouble.Load()
}

// Close has nothing to do: a pair is on the disk when it is used.
func (c *Certificates) Close(context.Context) error { return nil }

// Chain returns the certificate that clients are shown in DER, the appliance's own first, and
// whether it is from a CA: not one that signs itself.
func (c *Certificates) Chain() (chain [][]byte, fromCA bool) {
	p := c.present.Load()
	return p.chain, p.fromCA()
}

// CertificateFingerprint returns the SHA-256 of the certificate that clients are shown, as browsers
// and openssl write it: AB:CD:...
func (c *Certificates) CertificateFingerprint() string { return c.present.Load().fingerprint() }

// fingerprint returns the SHA-256 of the certificate.
func (p *pair) fingerprint() string {
	var b strings.Builder
	for i, octet := range sha256.Sum256(p.chain[0]) {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return b.String()
}

// renewBefore is how long before its end a pair of the appliance's own making is made anew, and
// renewEvery how often that is tried where it fails.
const (
	renewBefore = 30 * 24 * time.Hour
	renewEvery  = time.Hour
)

// Sweep makes a pair anew that the appliance made itself and that ends soon. So does one that has
// not begun: the clock was wrong when it was made.
func (c *Certificates) Sweep(now time.Time) {
	p := c.present.Load()
	if !p.due(now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.rest.Sub(now); wait > 0 && wait <= renewEvery { // else the clock was put back
		return
	}
	made, err := selfSigned(hostNames(c.o.Hostname()), now)
	if err == nil {
		err = c.keep(own, made)
	}
	if err != nil {
		c.rest = now.Add(renewEvery)
		c.o.Log.Error("the certificate could not be renewed", "error", err, "ends", p.leaf.NotAfter)
		return
	}
	c.present.Store(made)
	c.o.Log.Info("the certificate was renewed", "fingerprint", made.fingerprint(), "ends", made.leaf.NotAfter)
	c.o.System("certificate", "The self-signed certificate was renewed; its fingerprint is SHA256 "+made.fingerprint(), nil)
}

// due reports whether a pair of the appliance's own making must be made anew.
func (p *pair) due(now time.Time) bool {
	return now.Before(p.leaf.NotBefore) || now.After(p.leaf.NotAfter.Add(-renewBefore))
}
