package certificates

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/acme"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// An acmeAccount is the account at a CA, and what is shown until it has given a certificate.
type acmeAccount struct {
	Directory string `json:"directory,omitempty"`
	Key       string `json:"key,omitempty"` // PKCS #8 in PEM
	URL       string `json:"url,omitempty"`
	StandIn   string `json:"standIn,omitempty"` // the name of a pair
}

// An acmeClient asks one CA at a time, one time after the other.
type acmeClient struct {
	file    store.JSON[acmeAccount]
	account acmeAccount // guarded by Certificates.mu

	asking sync.Mutex // held while a CA is asked
	over   sync.WaitGroup

	mu       sync.Mutex
	stop     context.CancelFunc
	ctx      context.Context // ends with the appliance; nil: it has not begun
	running  bool
	failures int // since the last success
	failure  string
	last     time.Time // try
	next     time.Time // try, after a failure
}

// Bounds of what an order takes, and of the time from one that failed to the next.
const (
	orderTime  = 5 * time.Minute
	firstPause = time.Minute
	mostPause  = time.Hour
)

// Start lets the CA be asked from now on.
func (c *Certificates) Start() {
	c.acme.mu.Lock()
	defer c.acme.mu.Unlock()
	c.acme.ctx, c.acme.stop = context.WithCancel(context.Background())
}

// end gives up what is under way.
func (a *acmeClient) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop()
}

func (a *acmeClient) wait(ctx context.Context) error {
	over := make(chan struct{})
	go func() {
		a.over.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return errors.New("an order at a CA has not ended")
	}
}

// sweepACME asks the CA if it is due. It does not wait for the answer.
func (c *Certificates) sweepACME(now time.Time) {
	c.mu.Lock()
	due := c.orderDue(now)
	c.mu.Unlock()
	a := &c.acme
	a.mu.Lock()
	defer a.mu.Unlock()
	pause := a.next.Sub(now)
	if !due || a.running || a.ctx == nil || a.ctx.Err() != nil || pause > 0 && pause <= mostPause {
		return
	}
	a.running = true
	ctx := a.ctx
	a.over.Go(func() {
		c.fetch(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running = false
	})
}

// fetch asks the CA once, and returns why it gave nothing, as a sentence; "" if it did.
func (c *Certificates) fetch(ctx context.Context) (failure string) {
	c.acme.asking.Lock()
	defer c.acme.asking.Unlock()
	c.mu.Lock()
	o := c.orders
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	p, err := c.ask(ctx, o)
	if c.accountIsGone(err) {
		p, err = c.ask(ctx, o)
	}
	if err == nil {
		err = c.take(o, p)
	}
	a := &c.acme
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = time.Now()
	if err == nil {
		a.failures, a.failure, a.next = 0, "", time.Time{}
		return ""
	}
	failure = reasonOf(err)
	a.next = a.last.Add(min(firstPause<<min(a.failures, 16), mostPause))
	a.failures++
	c.o.Log.Error("the CA gave no certificate", "directory", o.directory, "error", err, "failures", a.failures, "next", a.next)
	if failure != a.failure {
		c.o.SystemFailed("certificate", "The CA gave no certificate: "+failure)
	}
	a.failure = failure
	return failure
}

// accountIsGone reports whether the CA does not know the account any more, because it was set up anew,
// and forgets it then.
func (c *Certificates) accountIsGone(err error) bool {
	var refused *acme.Error
	if !errors.As(err, &refused) || refused.ProblemType != "urn:ietf:params:acme:error:accountDoesNotExist" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acme.account = acmeAccount{StandIn: c.acme.account.StandIn}
	return true
}

// errChanged says that the configuration does not want any more what the CA was asked for.
var errChanged = menu.Errorf(menu.State, "The configuration has changed meanwhile")

// take makes a pair that the CA gave the one that is shown, if it still is what the configuration
// wants.
func (c *Certificates) take(o order, p *pair) error {
	if err := p.fits(time.Now()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.setting != config.ByACME || !c.orders.fits(p) {
		return errChanged
	}
	if err := c.keep(config.ByACME, p); err != nil {
		return menu.Failing("keep the certificate", err)
	}
	c.pairs[config.ByACME] = p
	c.choose()
	c.setStandIn("")
	c.o.System("certificate", "The CA gave a certificate; its fingerprint is SHA256 "+p.fingerprint(), nil)
	return nil
}

// ask makes an order and has the CA fulfil it (RFC 8555 section 7.1).
func (c *Certificates) ask(ctx context.Context, o order) (*pair, error) {
	client, err := c.clientOf(ctx, o)
	if err != nil {
		return nil, err
	}
	ordered, err := client.AuthorizeOrder(ctx, acme.DomainIDs(o.names...))
	if err != nil {
		return nil, err
	}
	for _, url := range ordered.AuthzURLs {
		if err := c.prove(ctx, client, url); err != nil {
			return nil, err
		}
	}
	if _, err = client.WaitOrder(ctx, ordered.URI); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: o.names}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, ordered, request, true)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	return &pair{chain: chain, leaf: leaf, key: key, origin: access.ByACME, given: o.names, by: o.directory}, nil
}

// prove shows the CA that a name is the appliance's: for as long as that takes, who asks for the
// name by the protocol of the challenge is shown a certificate of its own.
func (c *Certificates) prove(ctx context.Context, client *acme.Client, url string) error {
	a, err := client.GetAuthorization(ctx, url)
	if err != nil || a.Status == acme.StatusValid {
		return err
	}
	name := a.Identifier.Value
	for _, challenge := range a.Challenges {
		if challenge.Type != "tls-alpn-01" {
			continue
		}
		shown, err := client.TLSALPN01ChallengeCert(challenge.Token, name)
		if err != nil {
			return err
		}
		key, ok := shown.PrivateKey.(crypto.Signer)
		if !ok {
			return errors.New("the key of a challenge cannot sign")
		}
		c.challenges.set(name, &pair{chain: shown.Certificate, key: key})
		defer c.challenges.set(name, nil)
		if _, err := client.Accept(ctx, challenge); err != nil {
			return err
		}
		_, err = client.WaitAuthorization(ctx, url)
		return err
	}
	return menu.Errorf(menu.Failed, "The CA cannot look at the port of HTTPS whether %s is the appliance's: it offers no tls-alpn-01", name)
}

// clientOf returns a client of the CA with an account there, which it makes if need be.
func (c *Certificates) clientOf(ctx context.Context, o order) (*acme.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if o.authority != "" {
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(o.authority))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: 20 * time.Second}).DialContext, TLSHandshakeTimeout: 20 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second}
	client := &acme.Client{DirectoryURL: o.directory, UserAgent: "diagsh", HTTPClient: &http.Client{Transport: transport}}
	c.mu.Lock()
	account := c.acme.account
	c.mu.Unlock()
	if block, _ := pem.Decode([]byte(account.Key)); block != nil && account.Directory == o.directory {
		if client.Key, err = parseKey(block.Bytes); err == nil {
			client.KID = acme.KeyID(account.URL)
			return client, nil
		}
	}
	return client, c.register(ctx, client, o)
}

// register makes an account. The terms of service are agreed to: who commits the directory has.
func (c *Certificates) register(ctx context.Context, client *acme.Client, o order) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	client.Key = key
	wanted := &acme.Account{}
	if o.contact != "" {
		wanted.Contact = []string{"mailto:" + o.contact}
	}
	made, err := client.Register(ctx, wanted, acme.AcceptTOS)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.setting != config.ByACME {
		return errChanged
	}
	next := acmeAccount{Directory: o.directory, Key: string(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})), URL: made.URI,
		StandIn: c.acme.account.StandIn}
	if err := c.acme.file.Store(next); err != nil {
		return menu.Failing("keep the account at the CA", err)
	}
	c.acme.account = next
	return nil
}
