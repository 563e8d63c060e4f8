package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// mostPairs bounds the pairs that are kept for commits to come.
const mostPairs = 64

// NewCertificate makes a pair that signs itself, for these names; none: those of the host. A commit
// of its setting makes it hold.
func (c *Certificates) NewCertificate(given []string) (access.Certificate, error) {
	n, err := parseNames(given)
	if err != nil {
		return access.Certificate{}, err
	}
	if len(given) == 0 {
		n = hostNames(c.o.Hostname())
	}
	made, err := selfSigned(n, time.Now())
	if err != nil {
		return access.Certificate{}, menu.Failing("make the certificate", err)
	}
	made.given = given
	return c.add(made)
}

// InstallCertificate takes a chain of certificates in PEM, for a commit of its setting to make it
// hold. The key is one of these: the text of its own, one in the text of the chain, that of the
// pending request, or that of another certificate that the appliance has. A pair that does not fit
// is refused with the reason.
func (c *Certificates) InstallCertificate(chain string, key menu.SecretText) (access.Certificate, error) {
	b, err := parseChain(chain)
	if err != nil {
		return access.Certificate{}, err
	}
	var own crypto.Signer
	switch {
	case key != "" && len(b.keys) > 0:
		err = menu.BadArgument("key", "There is a private key in the text of the certificates already").WithHint("Give it once")
	case key != "":
		own, err = parseKeyText(string(key))
	case len(b.keys) > 0:
		own = b.keys[0]
	default:
		if own = c.keyOf(b.chain); own == nil {
			err = menu.BadArgument("key", "The appliance has no key for the certificate of %s", subjectOf(b.chain[0])).
				WithHint("Give the private key too, or install the certificate that answers the request")
		}
	}
	if err == nil {
		err = check(b.chain, own, time.Now())
	}
	if err != nil {
		return access.Certificate{}, err
	}
	p := &pair{leaf: b.chain[0], key: own, origin: access.Installed}
	for _, one := range b.chain {
		p.chain = append(p.chain, one.Raw)
	}
	return c.add(p)
}

// CheckChain returns what is wrong with a text of certificates by itself, and whether their private
// key is wanted too: it is neither in the text nor in the appliance.
func (c *Certificates) CheckChain(chain string) (needsKey bool, err error) {
	b, err := parseChain(chain)
	return err == nil && len(b.keys) == 0 && c.keyOf(b.chain) == nil, err
}

// keyOf returns the key of a certificate of the chain that the appliance has; nil if it has none.
func (c *Certificates) keyOf(chain []*x509.Certificate) crypto.Signer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []crypto.Signer
	if r, err := c.readRequest(); err == nil && r != nil {
		keys = append(keys, r.key)
	}
	for _, p := range c.pairs {
		keys = append(keys, p.key)
	}
	for _, one := range chain { // the first wins; where it is not the first, check says so
		for _, key := range keys {
			if isKeyOf(key, one) {
				return key
			}
		}
	}
	return nil
}

// add keeps a pair for a commit to make it hold. If the setting that holds is about it, and it
// could not be read so far, it holds at once.
func (c *Certificates) add(p *pair) (access.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.nameFor(p)
	if c.pairs[name] == nil {
		if len(c.pairs) >= mostPairs {
			c.purge(time.Now().Add(freshFor))
		}
		if len(c.pairs) >= mostPairs {
			return access.Certificate{}, menu.Errorf(menu.State, "There are %d certificates already that commits can bring back", len(c.pairs)).
				WithHint("Clear what is pending with clearchanges, or commit with keep no")
		}
		if err := c.keep(name, p); err != nil {
			return access.Certificate{}, menu.Failing("keep the certificate", err)
		}
		c.pairs[name] = p
	}
	if nameOf(c.setting) == name {
		c.choose()
	}
	return c.words(name, c.pairs[name]), nil
}

// nameFor returns the name for a pair: another one than that of a pair with the same certificate and
// another chain, which a commit may bring back. Called with mu held.
func (c *Certificates) nameFor(p *pair) string {
	name := nameOf(p.fingerprint())
	if before := c.pairs[name]; before == nil || before.sameChain(p) {
		return name
	}
	sum := sha256.Sum256(bytes.Join(p.chain[1:], nil))
	return name + "-" + hex.EncodeToString(sum[:config.ChainBytes])
}

// A storedRequest is a request for a certificate with its key, as it is on the disk.
type storedRequest struct {
	Time  time.Time `json:"time"`
	Names []string  `json:"names"`
	Key   string    `json:"key"` // PKCS #8 in PEM
	PEM   menu.Text `json:"request"`

	key crypto.Signer
}

// RequestCertificate makes a key and a request for these names; none: those of the host. It takes
// the place of the one before.
func (c *Certificates) RequestCertificate(given []string, keyType string) (access.CertificateRequest, error) {
	n, err := parseNames(given)
	if err != nil {
		return access.CertificateRequest{}, err
	}
	if len(given) == 0 {
		n = names{dns: slices.DeleteFunc(hostNames(c.o.Hostname()).dns, func(name string) bool { return name == "localhost" })}
	}
	var key crypto.Signer
	if keyType == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return access.CertificateRequest{}, menu.Failing("make the key", err)
	}
	r, err := newRequest(n, key)
	if err != nil {
		return access.CertificateRequest{}, menu.Failing("make the request", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(os.MkdirAll(c.folder, 0o700), c.request.Store(r)); err != nil {
		return access.CertificateRequest{}, menu.Failing("keep the request", err)
	}
	return r.words(), nil
}

// newRequest makes a request for a certificate of a server (RFC 2986).
func newRequest(n names, key crypto.Signer) (storedRequest, error) {
	template := &x509.CertificateRequest{DNSNames: n.dns}
	if len(n.dns) > 0 && len(n.dns[0]) <= 64 { // ub-common-name of RFC 5280
		template.Subject = pkix.Name{CommonName: n.dns[0]}
	}
	for _, a := range n.addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(a.AsSlice()))
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return storedRequest{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return storedRequest{
		Time: time.Now().UTC().Truncate(time.Second), Names: n.list(), key: key,
		Key: string(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: private})),
		PEM: menu.Text(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: request})),
	}, err
}

func (r storedRequest) words() access.CertificateRequest {
	return access.CertificateRequest{Time: r.Time, Names: r.Names, KeyType: keyType(r.key.Public()), PEM: r.PEM}
}

// readRequest returns the pending request; nil if there is none. Called with mu held.
func (c *Certificates) readRequest() (*storedRequest, error) {
	var r storedRequest
	found, err := c.request.Load(&r)
	if err != nil || !found {
		return nil, err
	}
	block, _ := pem.Decode([]byte(r.Key))
	if block == nil {
		return nil, errors.New(c.request.Path + " is damaged: it has no key")
	}
	r.key, err = parseKey(block.Bytes)
	return &r, err
}

// DropRequest deletes the pending request with its key, and returns it.
func (c *Certificates) DropRequest() (access.CertificateRequest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.readRequest()
	if err == nil && r == nil {
		return access.CertificateRequest{}, menu.Errorf(menu.State, "There is no request for a certificate")
	}
	if err == nil {
		err = os.Remove(c.request.Path)
	}
	if err != nil {
		return access.CertificateRequest{}, menu.Failing("delete the request", err)
	}
	return r.words(), nil
}

// Losses lists what Reset takes away.
func (c *Certificates) Losses() []access.Loss {
	s := c.CertificateStatus()
	var subjects []string
	for _, one := range append(s.Others, s.Present) {
		if one.Setting != "" {
			subjects = append(subjects, one.Subject)
		}
	}
	if s.Request != nil {
		subjects = append(subjects, "a request for "+strings.Join(s.Request.Names, ", "))
	}
	if len(subjects) == 0 {
		return nil
	}
	return []access.Loss{{What: "certificates, with their keys", Count: len(subjects), Detail: strings.Join(subjects, "; ")}}
}

// Reset deletes what administrators have brought or asked for, with the keys. The pair that the
// appliance made itself stays, and must be what holds.
func (c *Certificates) Reset() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.pairs {
		if name == own {
			continue
		}
		if err := os.Remove(c.file(name).Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		delete(c.pairs, name)
	}
	for _, path := range []string{c.request.Path, c.acme.file.Path} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	c.acme.account = acmeAccount{}
	return nil
}

// dropRequestOf deletes the pending request if a pair that holds now answers it. Called with mu
// held.
func (c *Certificates) dropRequestOf(p *pair) {
	r, err := c.readRequest()
	if err != nil || r == nil || !isKeyOf(r.key, p.leaf) {
		return
	}
	if err := os.Remove(c.request.Path); err != nil {
		c.o.Log.Error("a request that was answered could not be removed", "error", err)
	}
}

// CheckCertificates lists what of a document cannot hold: a certificate that the appliance does not
// have, or that cannot be shown to clients now. One that holds already stays.
func (c *Certificates) CheckCertificates(wanted, running config.Document) []config.Fault {
	setting := wanted[config.Certificate]
	if setting == config.ByACME {
		return orderOf(wanted).faults()
	}
	if setting == running[config.Certificate] || setting == "" {
		return nil
	}
	c.mu.Lock()
	p := c.pairs[nameOf(setting)]
	c.mu.Unlock()
	fault := config.Fault{Path: config.Certificate, Setting: config.Certificate.String()}
	if p == nil {
		fault.Message = "the appliance has no certificate with this fingerprint, or not any more: install it again"
		return []config.Fault{fault}
	}
	if err := p.fits(time.Now()); err != nil {
		fault.Message = menu.AsError(err).Message
		return []config.Fault{fault}
	}
	return nil
}

// fits returns why the pair cannot be shown to clients now; nil if it can.
func (p *pair) fits(now time.Time) error {
	if p.origin == access.SelfSigned {
		return nil // it is made anew when it is due
	}
	var chain []*x509.Certificate
	for _, der := range p.chain {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return refuse("A certificate of the chain is damaged")
		}
		chain = append(chain, one)
	}
	return check(chain, p.key, now)
}

// CertificateWarnings are about the certificate of a document that another one holds before.
func (c *Certificates) CertificateWarnings(wanted, running config.Document) (list []config.Warning) {
	if wanted[config.Certificate] == running[config.Certificate] {
		return nil
	}
	c.mu.Lock()
	p := c.pairs[nameOf(wanted[config.Certificate])]
	c.mu.Unlock()
	if p == nil {
		return nil
	}
	for _, text := range p.warnings(c.o.Hostname(), time.Now()) {
		list = append(list, config.Warning{Path: config.Certificate, Text: "Warning: " + text})
	}
	return list
}
