package signin

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
)

// A Provider is a running provider of OpenID Connect.
type Provider struct {
	*mockoidc.MockOIDC
	t      testing.TB
	ca     *CA
	sendTo atomic.Pointer[[2]string]
}

// A User is somebody whom the provider knows. Change changes what the ID token says.
type User struct {
	mockoidc.MockUser
	Change func(claims jwt.MapClaims)
}

// NewProvider starts a provider on localhost with a certificate of the CA.
func NewProvider(t testing.TB, ca *CA) *Provider {
	t.Helper()
	certificate, key := ca.Pair(t)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	must(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(t, err)
	m, err := mockoidc.NewServer((*rsa.PrivateKey)(nil))
	must(t, err)
	p := &Provider{MockOIDC: m, t: t, ca: ca}
	must(t, m.AddMiddleware(p.redirected))
	must(t, m.Start(l, config))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	m.Server.Addr = "localhost:" + port
	t.Cleanup(func() { m.Shutdown() })
	return p
}

// SendTo has browsers sent back to another address than the appliance was configured with, which its
// test could not know: the beginning of the address from is replaced.
func (p *Provider) SendTo(from, to string) { p.sendTo.Store(&[2]string{from, to}) }

func (p *Provider) redirected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		if to := p.sendTo.Load(); to != nil {
			if rest, ok := strings.CutPrefix(answer.Header().Get("Location"), to[0]); ok {
				w.Header().Set("Location", to[1]+rest)
			}
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// Expect has the next browser sign in as a user.
func (p *Provider) Expect(user User) { p.QueueUser(&changedUser{user}) }

// Authorize signs a user in where a browser was sent, and returns the address that it is sent back to.
func (p *Provider) Authorize(address string, user User) *url.URL {
	p.t.Helper()
	p.Expect(user)
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(p.ca.File)
	must(p.t, err)
	pool.AppendCertsFromPEM(pem)
	browser := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := browser.Get(address)
	must(p.t, err)
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		p.t.Fatalf("the provider answers %d to %s", answer.StatusCode, address)
	}
	return back
}

// changedUser is a User as the provider wants one.
type changedUser struct{ User }

// Claims returns the claims of the ID token.
func (u *changedUser) Claims(scope []string, base *mockoidc.IDTokenClaims) (jwt.Claims, error) {
	claims := jwt.MapClaims{"iss": base.Issuer, "aud": base.Audience, "exp": base.ExpiresAt.Unix(), "iat": base.IssuedAt.Unix(),
		"sub": base.Subject, "nonce": base.Nonce, "name": "Jane Example",
		"preferred_username": u.PreferredUsername, "email": u.Email, "groups": u.Groups}
	if u.Change != nil {
		u.Change(claims)
	}
	return claims, nil
}
