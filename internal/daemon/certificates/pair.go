package certificates

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/daemon/store"
)

// A pair is a certificate with what leads to its CA, and the key. It is not changed.
type pair struct {
	chain  [][]byte // DER, the appliance's own certificate first
	leaf   *x509.Certificate
	key    crypto.Signer
	origin string   // of access
	given  []string // names that it was asked for with; none: those of the host
	by     string   // the directory of the CA that was asked, if it is by ACME

	makeshift bool      // it is not on the disk
	kept      time.Time // when this process brought it onto the disk; zero: an earlier one did
}

// fingerprint returns the SHA-256 of the certificate.
func (p *pair) fingerprint() string { return config.Fingerprint(sha256.Sum256(p.chain[0])) }

// sameChain reports whether two pairs show clients the same.
func (p *pair) sameChain(other *pair) bool {
	return slices.EqualFunc(p.chain, other.chain, bytes.Equal)
}

// fromCA reports whether somebody else signed the certificate.
func (p *pair) fromCA() bool { return !signsItself(p.leaf) }

func signsItself(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) &&
		c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// A storedPair is a pair as it is on the disk.
type storedPair struct {
	Origin       string   `json:"origin"`
	Given        []string `json:"given,omitempty"`
	By           string   `json:"by,omitempty"`
	Certificates string   `json:"certificates"` // PEM
	Key          string   `json:"key"`          // PKCS #8 in PEM
}

func (c *Certificates) file(name string) store.JSON[storedPair] {
	return store.JSON[storedPair]{Path: filepath.Join(c.folder, name+".json"), Version: 1}
}

// keep brings a pair onto the disk. One goroutine at a time may do that.
func (c *Certificates) keep(name string, p *pair) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return err
	}
	var chain bytes.Buffer
	for _, der := range p.chain {
		chain.Write(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}))
	}
	p.kept = time.Now()
	return c.file(name).Store(storedPair{p.origin, p.given, p.by, chain.String(),
		string(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: key}))})
}

// Types of blocks in PEM.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
	requestBlock     = "CERTIFICATE REQUEST"
)

// readAll reads the pairs. What cannot be read is told and left as it is.
func (c *Certificates) readAll() {
	files, _ := filepath.Glob(filepath.Join(c.folder, "*.json")) // none where there is no folder
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if file == c.request.Path || file == c.acme.file.Path {
			continue
		}
		p, err := c.load(name)
		if err != nil {
			c.o.Log.Error("a certificate cannot be read", "error", err)
			continue
		}
		c.pairs[name] = p
	}
}

// load reads a pair. Its error names the file.
func (c *Certificates) load(name string) (*pair, error) {
	file := c.file(name)
	var s storedPair
	found, err := file.Load(&s)
	if err != nil {
		return nil, err
	}
	p, err := s.pair()
	switch {
	case !found:
		return nil, errors.New(file.Path + " is gone")
	case err != nil:
		return nil, fmt.Errorf("%s is damaged: %w", file.Path, err)
	case p.origin == access.Installed && !strings.HasPrefix(name, nameOf(p.fingerprint())):
		return nil, fmt.Errorf("%s is damaged: it has another certificate", file.Path)
	}
	return p, nil
}

// pair parses what keep wrote.
func (s storedPair) pair() (*pair, error) {
	p := &pair{origin: s.Origin, given: s.Given, by: s.By}
	for rest := []byte(s.Certificates); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		p.chain = append(p.chain, block.Bytes)
	}
	if len(p.chain) == 0 {
		return nil, errors.New("it has no certificate")
	}
	block, _ := pem.Decode([]byte(s.Key))
	if block == nil {
		return nil, errors.New("it has no key")
	}
	var err error
	if p.key, err = parseKey(block.Bytes); err != nil {
		return nil, err
	}
	if p.leaf, err = x509.ParseCertificate(p.chain[0]); err != nil {
		return nil, err
	}
	if !isKeyOf(p.key, p.leaf) {
		return nil, errors.New("its key is not that of its certificate")
	}
	return p, nil
}

// parseKey reads a private key in one of its forms in DER.
func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if key, other := x509.ParseECPrivateKey(der); other == nil {
			return key, nil
		}
		if key, other := x509.ParsePKCS1PrivateKey(der); other == nil {
			return key, nil
		}
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return signer, nil
}

// isKeyOf reports whether a key is that of a certificate.
func isKeyOf(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// freshFor is how long a pair stays that this process was given and that no configuration names: it
// is about to be named.
const freshFor = time.Hour

// purge removes the pairs that no commit can make hold. Called with mu held.
func (c *Certificates) purge(now time.Time) {
	wanted := map[string]bool{own: true, nameOf(c.setting): true, c.acme.account.StandIn: true}
	for _, setting := range c.o.Wanted() {
		wanted[nameOf(setting)] = true
	}
	for name, p := range c.pairs {
		if age := now.Sub(p.kept); wanted[name] || age >= 0 && age < freshFor {
			continue
		}
		if err := os.Remove(c.file(name).Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.o.Log.Error("a certificate that nothing names could not be removed", "error", err)
			continue
		}
		delete(c.pairs, name)
	}
}
