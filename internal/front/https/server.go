// Package https listens on the network for HTTPS: the page, and the API behind a login.
//
// It decides nothing about people and has no key. The appliance checks passwords, signs handshakes,
// and gives each login a connection to the boundary, over which this package passes the requests of
// that login. So roles, audit and interrupts stand where they stand for SSH.
package https

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/front/azure"
	"diagsh/internal/front/gate"
)

// Options say how to serve.
type Options struct {
	Listener  net.Listener
	Appliance Appliance
	Page      fs.FS        // the static page, with index.html
	Probes    []string     // commands that send packets to other hosts: their paths in words
	Azure     access.Azure // who the appliance is to clients of Azure; the zero value: none of theirs
	Log       *slog.Logger
}

// Bounds of a connection.
const (
	// helloTime is for the handshake, and for the header of each request.
	helloTime = 10 * time.Second
	// quietTime is how long a connection may be open without a request.
	quietTime = 2 * time.Minute
	// writeTime is how long a part of an answer may wait for a client that does not read.
	writeTime = time.Minute
	// maxHeader bounds the header of a request in bytes.
	maxHeader = 16 << 10
	// maxStreams bounds the requests at a time on one connection of HTTP/2.
	maxStreams = 100
)

// A Server answers HTTPS.
type Server struct {
	listener     net.Listener
	appliance    Appliance
	certificates *certificates
	page         *page
	sessions     *sessionTable
	tokens       *tokenTable
	limits       *limits
	azure        *azure.Server // nil: clients of Azure are not answered
	http         *http.Server
	log          *slog.Logger

	ctx  context.Context // of all logins; done when the server has stopped
	stop context.CancelFunc
}

// New returns a server; Serve answers.
func New(o Options) (*Server, error) {
	files, err := readPage(o.Page)
	if err != nil {
		return nil, err
	}
	s := &Server{
		listener:     gate.NewListener(o.Listener, "https", connections, o.Log),
		appliance:    o.Appliance,
		certificates: &certificates{appliance: o.Appliance, log: o.Log},
		page:         files,
		sessions:     newSessionTable(),
		tokens:       newTokenTable(),
		limits:       newLimits(o.Probes),
		log:          o.Log,
	}
	if o.Azure.Subscription != "" {
		s.azure = azure.New(azure.Options{Settings: o.Azure, Session: s.azureSession, Login: s.azureLogin, Log: o.Log})
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: s.handler(),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificates.get,
			GetConfigForClient: s.certificates.config},
		ReadHeaderTimeout: helloTime,
		IdleTimeout:       quietTime,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:      maxStreams,
			MaxReceiveBufferPerStream: maxWaiting,
			SendPingTimeout:           quietTime,
			WriteByteTimeout:          writeTime,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c.(*tls.Conn).NetConn())
		},
		// What strangers do wrong is no fault of the appliance.
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// handler returns what answers all requests.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/login", s.logIn)
	mux.HandleFunc("GET /v1/login", s.whoAmI)
	mux.HandleFunc("DELETE /v1/login", s.logOut)
	mux.HandleFunc("GET /v1/login/methods", s.methods)
	mux.HandleFunc("GET /v1/login/oidc", s.beginOIDC)
	mux.HandleFunc("GET /v1/login/oidc/callback", s.endOIDC)
	for _, path := range []string{"/v1/login", "/v1/login/methods", "/v1/login/oidc", "/v1/login/oidc/callback"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			allow := "GET, HEAD"
			if path == "/v1/login" {
				allow = "DELETE, GET, HEAD, POST"
			}
			w.Header().Set("Allow", allow)
			send(w, errMethod)
		})
	}
	mux.HandleFunc("/v1/", s.pass)
	mux.Handle("/", s.page)
	// A cookie is not enough: requests that change something must come from the appliance's page.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { send(w, errCrossOrigin) }))
	return bounded(s.withHeaders(s.limited(patient(protection.Handler(noTunnel(s.withAzure(mux)))))))
}

// noTunnel refuses CONNECT, which names a host and no path that a mux could compare.
func noTunnel(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.Header().Set("Allow", "GET, HEAD")
			send(w, errMethod)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Addr returns the address where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// sweepEvery is how often sessions of tokens are looked at.
const sweepEvery = 30 * time.Second

// sweep ends sessions of tokens that are not used any more, until ctx is done.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.tokens.endIdle(now.Add(-tokenIdle))
		case <-ctx.Done():
			return
		}
	}
}

// Serve answers until ctx is done; then it ends all sessions and returns nil.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(ended)
		s.listener.Close()
		endAll(append(s.sessions.all(), s.tokens.all()...))
		s.stop()
		s.http.Close()
	})
	go s.sweep(ctx)
	err := s.http.ServeTLS(s.listener, "", "")
	if unhook() {
		return err
	}
	<-ended
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
