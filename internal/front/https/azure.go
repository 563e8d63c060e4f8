package https

import (
	"context"
	"net/http"

	"diagsh/internal/access"
	"diagsh/internal/front/azure"
	"diagsh/internal/menu"
)

// isAzure reports whether a request is one that clients of Azure are answered.
func (s *Server) isAzure(r *http.Request) bool { return s.azure != nil && azure.Serves(r) }

// withAzure answers clients of Azure, and passes all other requests on.
func (s *Server) withAzure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isAzure(r) {
			s.azure.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// azureSession returns the session of a client of Azure: that of its token, and never that of a cookie,
// which a page of another site might have a browser send.
func (s *Server) azureSession(r *http.Request) (b azure.Boundary, done func(), refused *menu.Error) {
	one, free, refused := s.byToken(r, access.AzureSession)
	if refused != nil {
		return nil, nil, refused
	}
	connOf(r).Known()
	if refused = s.limits.ofAccount(r, one.login.Caller.User); refused == nil && !one.take() {
		refused = errManyRequests
	}
	if refused != nil {
		free()
		return nil, nil, refused
	}
	return one.conn, func() { one.free(); free() }, nil
}

// azureLogin gives a client of Azure a pass for what it shows. The login ends with that.
func (s *Server) azureLogin(ctx context.Context, r *http.Request, c access.Credentials, name string) (access.Pass, error) {
	from := connOf(r)
	if refused := tooOften(r, s.limits.logins, from.Source); refused != nil {
		return access.Pass{}, refused
	}
	client, err := s.appliance.Client(s.ctx)
	if err != nil {
		return access.Pass{}, err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	c.Source = from.Address.String()
	var pass access.Pass
	turn := from.Check(ctx, func() {
		if _, err = client.Login(c); err == nil {
			pass, err = client.Grant(name)
		}
	})
	switch {
	case turn != nil:
		return access.Pass{}, turn
	case err == nil:
		from.Known()
	case c.Token != "" && menu.AsError(err).Code == menu.Denied:
		wait(ctx, wrongTokenTime)
	}
	return pass, err
}
