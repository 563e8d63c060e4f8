package certificates

import (
	"crypto"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/internal/config"
)

// An order is what a CA is asked for by ACME.
type order struct {
	directory, contact, authority string
	names                         []string
}

func orderOf(d config.Document) order {
	o := order{directory: d[config.ACMEDirectory], contact: d[config.ACMEContact], authority: d[config.ACMEAuthority]}
	if text := d[config.ACMENames]; text != "" {
		o.names = strings.Split(text, ",")
	}
	return o
}

// faults lists what is missing of an order.
func (o order) faults() (list []config.Fault) {
	for path, there := range map[config.Path]bool{config.ACMEDirectory: o.directory != "", config.ACMENames: len(o.names) > 0} {
		if !there {
			list = append(list, config.Fault{Path: path, Setting: path.String(), Message: "it is missing, and the certificate is to be fetched by ACME"})
		}
	}
	slices.SortFunc(list, func(a, b config.Fault) int { return strings.Compare(a.Setting, b.Setting) })
	return list
}

// fits reports whether a pair is what the order is about.
func (o order) fits(p *pair) bool { return p.by == o.directory && slices.Equal(p.given, o.names) }

// order makes an order hold that was committed. Until the CA has given the certificate, the pair
// that was shown before stays, also over a restart. Called with mu held.
func (c *Certificates) order(o order, before string) {
	if c.setting != config.ByACME {
		c.orders = order{}
		c.setStandIn("")
		return
	}
	changed := o.directory != c.orders.directory || o.contact != c.orders.contact || o.authority != c.orders.authority ||
		!slices.Equal(o.names, c.orders.names)
	c.orders = o
	if !changed {
		return
	}
	c.acme.mu.Lock()
	c.acme.failures, c.acme.failure, c.acme.next = 0, "", time.Time{}
	c.acme.mu.Unlock()
	if c.pairs[config.ByACME] != nil || before == own || c.acme.account.StandIn != "" {
		return
	}
	c.setStandIn(before)
}

// setStandIn names the pair that is shown until the CA has given one, "" for none. Called with mu
// held.
func (c *Certificates) setStandIn(name string) {
	if c.acme.account.StandIn == name {
		return
	}
	c.acme.account.StandIn = name
	if err := c.acme.file.Store(c.acme.account); err != nil {
		c.o.Log.Error("what is shown until the CA has given a certificate could not be kept", "error", err)
	}
}

// standIn returns the pair that is shown until the CA has given one. Called with mu held.
func (c *Certificates) standIn() *pair {
	if p := c.pairs[c.acme.account.StandIn]; p != nil {
		return p
	}
	return c.pairs[own]
}

// orderDue reports whether the CA is to be asked now: there is no certificate of this order yet, a
// third of its time is left, or it has not begun. Called with mu held.
func (c *Certificates) orderDue(now time.Time) bool {
	if c.setting != config.ByACME || len(c.orders.faults()) > 0 {
		return false
	}
	p := c.pairs[config.ByACME]
	return p == nil || !c.orders.fits(p) || now.Before(p.leaf.NotBefore) || !now.Before(renewalOf(p))
}

// renewalOf returns when a pair of a CA is asked for anew.
func renewalOf(p *pair) time.Time {
	return p.leaf.NotAfter.Add(-p.leaf.NotAfter.Sub(p.leaf.NotBefore) / 3)
}

// Challenges are the pairs that a CA is shown that looks whether a name is the appliance's.
type challenges struct {
	mu    sync.Mutex
	pairs map[string]*pair // by name, in small letters
}

// set shows a pair for a name, nil none any more.
func (c *challenges) set(name string, p *pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pairs == nil {
		c.pairs = map[string]*pair{}
	}
	c.pairs[strings.ToLower(name)] = p
	if p == nil {
		delete(c.pairs, strings.ToLower(name))
	}
}

// keyOf returns the key of a pair that is shown; leaf is the SHA-256 of its certificate.
func (c *challenges) keyOf(leaf []byte) crypto.Signer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pairs {
		if p.is(leaf) {
			return p.key
		}
	}
	return nil
}

// Challenge returns the certificate by which a CA that speaks ACME recognises that the appliance has
// a name (RFC 8737); nil if the CA was not asked for that name.
func (c *Certificates) Challenge(name string) (chain [][]byte) {
	c.challenges.mu.Lock()
	defer c.challenges.mu.Unlock()
	if p := c.challenges.pairs[strings.ToLower(name)]; p != nil {
		return p.chain
	}
	return nil
}
