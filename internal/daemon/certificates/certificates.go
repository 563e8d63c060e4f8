// Package certificates keeps what the appliance shows to clients of TLS: its certificates, and the
// keys, which sign handshakes here and never leave. What speaks TLS is another process: it is
// handed the certificate, and asks for signatures.
//
// The configuration names a certificate by its fingerprint. The pair of certificate and key is here,
// before it is committed and for as long as a commit can bring it back. Without a setting, one holds
// that the appliance makes itself, once, and makes anew before it ends.
//
// There is always a certificate. One that cannot be read or kept does not keep the appliance from
// being reached: another takes its place, which the log and a notice at login tell.
package certificates

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// Options are what Certificates need of the rooms around them.
type Options struct {
	Dir string // the data directory
	Log *slog.Logger

	// Hostname is the name of the appliance.
	Hostname func() string
	// System and SystemFailed write into the audit log.
	System       func(path, message string, arguments map[string]string)
	SystemFailed func(path, message string)
	// SetAside is told of a damaged file with the account at the CA; nil: it stays until another one
	// takes its place.
	SetAside func(store.Damage)
	// Wanted returns what the setting Certificate is in every configuration that a commit can make
	// hold. What it does not name goes.
	Wanted func() []string
}

// Certificates are the pairs of certificate and key. Their methods may be called from any
// goroutine.
type Certificates struct {
	o       Options
	folder  string
	request store.JSON[storedRequest]

	present    atomic.Pointer[pair] // that clients are shown; never nil
	former     atomic.Pointer[formerPair]
	challenges challenges

	acme acmeClient

	mu      sync.Mutex
	pairs   map[string]*pair // by name; all but those that cannot be read
	setting string           // that holds
	orders  order            // what a CA is asked for, if the setting is ByACME
	trouble string           // why another pair is shown than the setting says
	rest    time.Time        // until then a renewal that failed is not tried again
}

// own is the name of the pair that holds without a setting. The others are named for the
// fingerprints that settings have.
const own = "own"

// nameOf returns the name of the pair that a setting is about.
func nameOf(setting string) string {
	if setting == "" {
		return own
	}
	return strings.ToLower(strings.NewReplacer(":", "", " chain ", "-").Replace(setting))
}

// Open reads all pairs, and makes the appliance's own where there is none. It fails only where no
// key can be made.
func Open(o Options) (*Certificates, error) {
	c := &Certificates{o: o, folder: filepath.Join(o.Dir, "certificates"), pairs: map[string]*pair{}}
	c.acme.file = store.JSON[acmeAccount]{Path: filepath.Join(c.folder, "acme-account.json"), Version: 1, SetAside: o.SetAside}
	c.acme.stop = func() {}
	c.request = store.JSON[storedRequest]{Path: filepath.Join(c.folder, "request.json"), Version: 1}
	c.readAll()
	if _, err := c.acme.file.Load(&c.acme.account); err != nil {
		o.Log.Error("the account at the CA cannot be read; another one is made when it is asked", "error", err)
	}
	if err := c.openOwn(time.Now()); err != nil {
		return nil, fmt.Errorf("no certificate can be made: %w", err)
	}
	c.present.Store(c.pairs[own])
	return c, nil
}

// openOwn makes the appliance's own pair, unless there is one. Its error is that none can be made.
func (c *Certificates) openOwn(now time.Time) error {
	if c.pairs[own] != nil {
		return nil
	}
	made, err := selfSigned(hostNames(c.o.Hostname()), now)
	if err != nil {
		return err
	}
	c.pairs[own] = made
	_, err = os.Stat(c.file(own).Path)
	if err == nil { // it was not read, which the log has told, and somebody may want to look into it
		made.makeshift = true
	} else if err = c.keep(own, made); err != nil {
		made.makeshift = true
		c.o.Log.Error("the certificate could not be kept", "error", err)
	}
	if made.makeshift {
		c.o.Log.Error("a makeshift certificate is shown until the next start", "fingerprint", made.fingerprint())
	}
	return nil
}

// ApplyCertificates makes the certificate hold that a committed document names, for handshakes that
// begin from now on. What no commit can bring back goes.
func (c *Certificates) ApplyCertificates(committed config.Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.nameShown()
	c.setting = committed[config.Certificate]
	c.order(orderOf(committed), before)
	c.choose()
	c.renew(time.Now())
	c.purge(time.Now())
	c.dropRequestOf(c.present.Load())
}

// choose shows what the setting says. Called with mu held.
func (c *Certificates) choose() {
	c.trouble = ""
	p := c.pairs[nameOf(c.setting)]
	if p == nil && c.setting == config.ByACME {
		p = c.standIn()
	}
	if p == nil {
		p = c.pairs[own]
		c.trouble = "The certificate of the configuration cannot be read; clients of HTTPS are shown the appliance's own, which signs itself."
		c.o.Log.Error("the certificate of the configuration cannot be read, so the appliance's own is shown",
			"certificate", c.setting, "shown", p.fingerprint())
	}
	if before := c.show(p); before != p {
		c.o.Log.Info("another certificate is shown", "fingerprint", p.fingerprint(), "subject", p.leaf.Subject.String())
	}
}

// A formerPair was shown until another one took its place.
type formerPair struct {
	*pair
	until time.Time
}

// handshakeTime is how long a handshake may take that has begun with a former pair.
const handshakeTime = 15 * time.Second

// show makes a pair the present one, and returns the one before. Called with mu held.
func (c *Certificates) show(p *pair) (before *pair) {
	before = c.present.Swap(p)
	if before != nil && before != p {
		c.former.Store(&formerPair{before, time.Now().Add(handshakeTime)})
	}
	return before
}

// Notice returns what is wrong with the certificates, for administrators.
func (c *Certificates) Notice(caller menu.Caller) string {
	if caller.Role != menu.Administrator {
		return ""
	}
	c.mu.Lock()
	trouble := c.trouble
	c.mu.Unlock()
	p := c.present.Load()
	switch left := time.Until(p.leaf.NotAfter); {
	case trouble != "":
		return trouble
	case p.origin == access.ByACME && left < renewBefore && c.acmeFailure() != "":
		return "The certificate of HTTPS could not be renewed: " + c.acmeFailure() + " certificate show says more."
	case p.makeshift:
		return "The appliance's certificate could not be read or kept; clients of HTTPS are shown a makeshift until the next start."
	case p.origin != access.SelfSigned && left <= 0:
		return "The certificate of HTTPS has ended. certificate request begins the next one."
	case p.origin == access.Installed && left < renewBefore:
		return "The certificate of HTTPS ends at " + menu.UTC(p.leaf.NotAfter) + ". certificate request begins the next one."
	}
	return ""
}

// Stop lets no CA be asked any more.
func (c *Certificates) Stop() { c.acme.end() }

// Close waits for an order at a CA to be given up. A pair is on the disk when it is used.
func (c *Certificates) Close(ctx context.Context) error {
	c.acme.end()
	return c.acme.wait(ctx)
}

// Chain returns the certificate that clients are shown in DER, the appliance's own first, and
// whether it is from a CA: not one that signs itself.
func (c *Certificates) Chain() (chain [][]byte, fromCA bool) {
	p := c.present.Load()
	return p.chain, p.fromCA()
}

// CertificateFingerprint returns the SHA-256 of the certificate that clients are shown, as browsers
// and openssl write it: AB:CD:...
func (c *Certificates) CertificateFingerprint() string { return c.present.Load().fingerprint() }

// renewBefore is how long before its end a pair of the appliance's own making is made anew, and
// renewEvery how often that is tried where it fails.
const (
	renewBefore = 30 * 24 * time.Hour
	renewEvery  = time.Hour
)

// Sweep makes a pair anew that the appliance made itself and that ends soon. So does one that has
// not begun: the clock was wrong when it was made.
func (c *Certificates) Sweep(now time.Time) {
	c.sweepACME(now)
	if !c.present.Load().due(now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew(now)
}

// renew makes the present pair anew if it is due. It keeps its name, so that the setting stands.
// Called with mu held.
func (c *Certificates) renew(now time.Time) {
	before := c.present.Load()
	if !before.due(now) {
		return
	}
	if wait := c.rest.Sub(now); wait > 0 && wait <= renewEvery { // else the clock was put back
		return
	}
	name := c.nameShown()
	made, err := selfSigned(before.names(c.o.Hostname), now)
	if err == nil {
		made.given = before.given
		err = c.keep(name, made)
	}
	if err != nil {
		c.rest = now.Add(renewEvery)
		c.o.Log.Error("the certificate could not be renewed", "error", err, "ends", before.leaf.NotAfter)
		return
	}
	c.pairs[name] = made
	c.show(made)
	c.o.Log.Info("the certificate was renewed", "fingerprint", made.fingerprint(), "ends", made.leaf.NotAfter)
	c.o.System("certificate", "The self-signed certificate was renewed; its fingerprint is SHA256 "+made.fingerprint(), nil)
}

// nameShown returns the name of the present pair. Called with mu held.
func (c *Certificates) nameShown() string {
	present := c.present.Load()
	for name, p := range c.pairs {
		if p == present {
			return name
		}
	}
	return own
}

// due reports whether a pair must be made anew: the appliance can, if it made it.
func (p *pair) due(now time.Time) bool {
	return p.origin == access.SelfSigned &&
		(now.Before(p.leaf.NotBefore) || now.After(p.leaf.NotAfter.Add(-renewBefore)))
}

// names returns what a pair that the appliance made is for: what was given for it, else the host.
func (p *pair) names(hostname func() string) names {
	if len(p.given) > 0 {
		n, _ := parseNames(p.given) // they were parsed when they were given
		return n
	}
	return hostNames(hostname())
}
