package certificates

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"

	"diagsh/internal/daemon/store"
)

// A pair is a certificate with what leads to its CA, and the key.
type pair struct {
	chain [][]byte // DER, the appliance's own certificate first
	leaf  *x509.Certificate
	key   crypto.Signer
}

// fromCA reports whether somebody else signed the certificate.
func (p *pair) fromCA() bool {
	return !bytes.Equal(p.leaf.RawIssuer, p.leaf.RawSubject) ||
		p.leaf.CheckSignature(p.leaf.SignatureAlgorithm, p.leaf.RawTBSCertificate, p.leaf.Signature) != nil
}

// A storedPair is a pair as it is on the disk.
type storedPair struct {
	Certificates string `json:"certificates"` // PEM
	Key          string `json:"key"`          // PKCS #8 in PEM
}

func (c *Certificates) file(name string) store.JSON[storedPair] {
	return store.JSON[storedPair]{Path: filepath.Join(c.folder, name+".json"), Version: 1}
}

// keep brings a pair onto the disk.
func (c *Certificates) keep(name string, p *pair) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	var chain bytes.Buffer
	for _, der := range p.chain {
		chain.Write(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}))
	}
	return c.file(name).Store(storedPair{chain.String(),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))})
}

// certificateBlock is the type of a certificate in PEM.
const certificateBlock = "CERTIFICATE"

// load reads a pair and reports whether there is one. Its error names the file.
func (c *Certificates) load(name string) (p *pair, found bool, err error) {
	file := c.file(name)
	var s storedPair
	if found, err = file.Load(&s); !found || err != nil {
		return nil, found, err
	}
	if p, err = s.pair(); err != nil {
		err = fmt.Errorf("%s is damaged: %w", file.Path, err)
	}
	return p, true, err
}

// pair parses what keep wrote.
func (s storedPair) pair() (*pair, error) {
	p := &pair{}
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
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its key cannot sign")
	}
	if p.leaf, err = x509.ParseCertificate(p.chain[0]); err != nil {
		return nil, err
	}
	public, ok := p.leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(signer.Public()) {
		return nil, errors.New("its key is not that of its certificate")
	}
	p.key = signer
	return p, nil
}
