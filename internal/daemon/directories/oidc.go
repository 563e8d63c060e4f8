package directories

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

const (
	// maxProviderAnswer bounds an answer of the provider in bytes.
	maxProviderAnswer = 1 << 20
	// signInTime is how long a person may take at the provider.
	signInTime = 10 * time.Minute
	// maxSignIns is how many may be on their way at a time, and how many of one source. The oldest of
	// the source, or of all, makes room.
	maxSignIns       = 1000
	maxSignInsSource = 20
	// providerKept is how long what the provider says of itself is used without asking again. Its keys
	// are asked for when a signature is by an unknown one.
	providerKept = time.Hour
)

// A provider is a provider of OpenID Connect: the code flow with PKCE (RFC 7636), state and nonce.
type provider struct {
	c      settings.OIDC
	client *http.Client
	fault  error // of the certificates that are trusted

	mu      sync.Mutex
	found   *oidc.Provider
	foundAt time.Time
	begun   []signIn // the oldest first
}

// A signIn is one that has begun: its browser is at the provider.
type signIn struct {
	state    string
	binding  string
	nonce    string
	verifier string
	source   string
	began    time.Time
}

func newProvider(c settings.OIDC) *provider {
	p := &provider{c: c}
	config, err := tlsFor(c.Server, "")
	if err != nil {
		p.fault = err
		return p
	}
	p.client = &http.Client{
		Timeout: c.Timeout,
		Transport: boundedTransport{&http.Transport{TLSClientConfig: config, MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the provider sends the appliance elsewhere")
		},
	}
	return p
}

// A boundedTransport reads so much of an answer and no more.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("the provider names an address without TLS")
	}
	answer, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		body := answer.Body
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, maxProviderAnswer), body}
	}
	return answer, err
}

// discover returns the provider, which it asks for its addresses from time to time.
func (p *provider) discover() (*oidc.Provider, error) {
	switch {
	case p.c.Off != "":
		return nil, refused(unanswered, "%s", p.c.Off)
	case p.fault != nil:
		return nil, refused(unanswered, "%v", p.fault)
	}
	p.mu.Lock()
	found, at := p.found, p.foundAt
	p.mu.Unlock()
	if found != nil && time.Since(at) < providerKept {
		return found, nil
	}
	// The provider keeps this context for its keys. The client has a timeout of its own.
	found, err := oidc.NewProvider(p.context(), p.c.Issuer)
	if err != nil {
		return nil, refused(unanswered, "%s: %v", p.c.Issuer, err)
	}
	p.mu.Lock()
	p.found, p.foundAt = found, time.Now()
	p.mu.Unlock()
	return found, nil
}

func (p *provider) context() context.Context {
	return oidc.ClientContext(context.Background(), p.client)
}

func (p *provider) config(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: p.c.ClientID, ClientSecret: string(p.c.Secret), RedirectURL: p.c.RedirectURL,
		Endpoint: found.Endpoint(), Scopes: p.c.Scopes}
}

// test says whether the provider can be used.
func (p *provider) test(note func(string, ...any)) error {
	p.mu.Lock()
	p.found = nil // ask anew
	p.mu.Unlock()
	found, err := p.discover()
	if err != nil {
		return err
	}
	note("%s answers and its certificate is trusted", p.c.Issuer)
	note("browsers are sent to %s", found.Endpoint().AuthURL)
	note("codes are exchanged at %s", found.Endpoint().TokenURL)
	note("browsers come back to %s", p.c.RedirectURL)
	return nil
}

// BeginSignIn begins a sign-in by the provider for a browser at source.
func (d *Directories) BeginSignIn(_ context.Context, source string) (access.Redirect, error) {
	p := d.provider
	if p == nil {
		return access.Redirect{}, menu.Errorf(menu.NotFound, "No provider of logins is configured")
	}
	found, err := p.discover()
	if err != nil {
		d.log.Warn("a server of logins did not answer", "method", access.OIDC, "error", err)
		return access.Redirect{}, menu.Errorf(menu.State, "The provider of logins does not answer").
			WithHint("Try again later, or log in with a password")
	}
	s := signIn{state: rand.Text(), binding: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), source: source, began: time.Now()}
	p.add(s)
	url := p.config(found).AuthCodeURL(s.state, oidc.Nonce(s.nonce), oauth2.S256ChallengeOption(s.verifier))
	return access.Redirect{URL: url, Binding: s.binding}, nil
}

// add notes a sign-in that begins, and forgets what must make room for it.
func (p *provider) add(s signIn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := 0
	for i := len(p.begun) - 1; i >= 0; i-- {
		if p.begun[i].source == s.source {
			own++
		}
		if time.Since(p.begun[i].began) > signInTime || p.begun[i].source == s.source && own >= maxSignInsSource {
			p.begun = append(p.begun[:i], p.begun[i+1:]...)
		}
	}
	if len(p.begun) >= maxSignIns {
		p.begun = p.begun[1:]
	}
	p.begun = append(p.begun, s)
}

// take returns a sign-in that has begun, which can be ended once.
func (p *provider) take(state string) (signIn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.begun {
		if subtle.ConstantTimeCompare([]byte(s.state), []byte(state)) == 1 {
			p.begun = append(p.begun[:i], p.begun[i+1:]...)
			return s, time.Since(s.began) <= signInTime
		}
	}
	return signIn{}, false
}

// EndSignIn returns who a browser is that comes back from the provider. The error is a
// *access.SignInError.
func (d *Directories) EndSignIn(ctx context.Context, c access.Callback) (access.Person, error) {
	if d.provider == nil {
		return access.Person{}, &access.SignInError{Reason: "oidc: no provider is configured"}
	}
	p, err := d.provider.end(ctx, c)
	var r *refusal
	if errors.As(err, &r) {
		if r.kind == unanswered {
			d.log.Warn("a server of logins did not answer", "method", access.OIDC, "error", r.reason)
		}
		return p, &access.SignInError{Reason: "oidc: " + r.reason, Unanswered: r.kind == unanswered, NoRole: r.kind == noRole}
	}
	return p, err
}

func (p *provider) end(ctx context.Context, c access.Callback) (access.Person, error) {
	s, ok := p.take(c.State)
	switch {
	case !ok:
		return access.Person{}, refused(wrong, "the browser brings the end of no sign-in that began here lately")
	case subtle.ConstantTimeCompare([]byte(s.binding), []byte(c.Binding)) != 1:
		return access.Person{}, refused(wrong, "the browser is not the one that began the sign-in")
	case c.Fault != "":
		return access.Person{}, refused(wrong, "the provider says: %s", c.Fault)
	}
	found, err := p.discover()
	if err != nil {
		return access.Person{}, err
	}
	exchange, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), 2*p.c.Timeout)
	defer cancel()
	tokens, err := p.config(found).Exchange(exchange, c.Code, oauth2.VerifierOption(s.verifier))
	if err != nil {
		if refusedBy, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refusedBy.Response.StatusCode < 500 {
			return access.Person{}, refused(wrong, "the provider does not take the code: %s %s", refusedBy.ErrorCode, refusedBy.ErrorDescription)
		}
		return access.Person{}, refused(unanswered, "the exchange of the code failed: %v", err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := found.VerifierContext(p.context(), &oidc.Config{ClientID: p.c.ClientID}).Verify(exchange, raw)
	switch {
	case err != nil:
		return access.Person{}, refused(wrong, "the ID token is not valid: %v", err)
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(s.nonce)) != 1:
		return access.Person{}, refused(wrong, "the ID token is of another sign-in")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return access.Person{}, refused(wrong, "the claims cannot be read: %v", err)
	}
	if claimed(claims, p.c.RolesClaim) == nil || claimed(claims, p.c.UserClaim) == nil {
		if err := p.moreClaims(exchange, found, tokens, id.Subject, claims); err != nil {
			return access.Person{}, err
		}
	}
	return p.personOf(id.Subject, claims)
}

// moreClaims adds what the provider says at its UserInfo address. What the ID token says holds.
func (p *provider) moreClaims(ctx context.Context, found *oidc.Provider, tokens *oauth2.Token, subject string,
	claims map[string]any) error {
	if found.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return refused(unanswered, "the provider does not say who the user is: %v", err)
	}
	if info.Subject != subject { // OpenID Connect Core section 5.3.2
		return refused(wrong, "the provider says that the user is somebody else than in the ID token")
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return refused(wrong, "the claims cannot be read: %v", err)
	}
	for name, value := range more {
		if _, said := claims[name]; !said {
			claims[name] = value
		}
	}
	return nil
}

// personOf returns who the claims say that the user is.
func (p *provider) personOf(subject string, claims map[string]any) (access.Person, error) {
	name, ok := claimed(claims, p.c.UserClaim).(string)
	if !ok {
		return access.Person{}, refused(wrong, "the claim %s, which is to be the user name, is not there", p.c.UserClaim)
	}
	user, ok := strings.CutSuffix(strings.ToLower(name), strings.ToLower(p.c.UserSuffix))
	if !ok || !access.PlainUserName(user) {
		return access.Person{}, refused(wrong, "%s cannot be a user name here (claim %s, suffix %s)", menu.Quoted(menu.Bounded(name, 80)),
			p.c.UserClaim, menu.Quoted(p.c.UserSuffix))
	}
	full, _ := claims["name"].(string)
	groups := textsOf(claimed(claims, p.c.RolesClaim))
	role, with, err := rolesOf(p.c.Roles, groups, false)
	return access.Person{User: user, FullName: menu.Bounded(menu.Clean(full), 100), Role: role, Groups: with,
		Method: access.OIDC, Server: p.c.Issuer, ID: subject}, err
}

// claimed returns the claim of a name, or of a path through objects: realm_access.roles.
func claimed(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	first, rest, nested := strings.Cut(name, ".")
	if object, ok := claims[first].(map[string]any); ok && nested {
		return claimed(object, rest)
	}
	return nil
}

// textsOf returns the texts of a claim that is one, or a list of them.
func textsOf(value any) (list []string) {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		for _, one := range value[:min(len(value), maxGroups)] {
			if text, ok := one.(string); ok {
				list = append(list, text)
			}
		}
	}
	return list
}
