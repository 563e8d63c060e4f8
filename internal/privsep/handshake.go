package privsep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"os"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A front may ask for handshakeBurst signatures of handshakes at once, and for one more in each
// handshakeEvery after that.
const (
	handshakeBurst = 512
	handshakeEvery = 5 * time.Millisecond
)

// A handshakeSigner signs handshakes for one front, one after the other. So a front that was taken
// over, or one with too many clients, takes one processor at most.
type handshakeSigner struct {
	certificates Certificates
	turn         chan struct{} // holds an element while a signature is made

	mu      sync.Mutex
	allowed *limiter
}

func newHandshakeSigner(c Certificates) *handshakeSigner {
	return &handshakeSigner{certificates: c, turn: make(chan struct{}, 1),
		allowed: newLimiter(handshakeBurst, handshakeEvery)}
}

// sign signs the message of a handshake. What is refused is a fault of the front: an honest one asks
// for what the key can sign, and for handshakes only.
func (h *handshakeSigner) sign(ctx context.Context, q request) (reply, error) {
	if h.certificates == nil {
		return reply{}, errUnknownRequest
	}
	if err := h.allow(ctx); err != nil {
		return reply{}, err
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
	signature, err := h.certificates.Sign(ctx, q.Known, q.Scheme, q.Message)
	switch {
	case err != nil && ctx.Err() == nil:
		err = outOfStep("a signature that is refused: %v", err)
	case err == nil && signature == nil:
		err = menu.Errorf(menu.State, "The certificate has changed meanwhile")
	}
	return reply{Signature: signature}, err
}

// allow waits until one more signature is allowed, or ctx is done. Then it has taken nothing: those
// who went away in a flood do not keep others waiting after it.
func (h *handshakeSigner) allow(ctx context.Context) error {
	h.mu.Lock()
	pause := h.allowed.take()
	h.mu.Unlock()
	err := sleep(ctx, pause)
	if err != nil {
		h.mu.Lock()
		h.allowed.giveBack()
		h.mu.Unlock()
	}
	return err
}

// chain replies with the certificate, unless the front names the one that there is.
func (h *handshakeSigner) chain(q request) (reply, error) {
	if h.certificates == nil {
		return reply{}, errUnknownRequest
	}
	if q.Name != "" {
		if chain := h.certificates.Challenge(q.Name); len(chain) > 0 {
			return reply{Chain: chain}, nil
		}
		return reply{}, menu.Errorf(menu.State, "No CA was asked for a certificate for this name")
	}
	chain, fromCA := h.certificates.Chain()
	if len(chain) == 0 {
		return reply{}, menu.Errorf(menu.State, "There is no certificate")
	}
	if bytes.Equal(q.Known, chainHash(chain)) {
		return reply{Known: true}, nil
	}
	return reply{Chain: chain, FromCA: fromCA}, nil
}

// chainHash returns the SHA-256 of a chain.
func chainHash(chain [][]byte) []byte {
	sum := sha256.Sum256(bytes.Join(chain, nil))
	return sum[:]
}

// Challenge returns the certificate by which a CA recognises that the appliance has a name. Its
// error is also that the CA was not asked.
func (f *Front) Challenge(ctx context.Context, name string) (chain [][]byte, err error) {
	a, err := f.once(ctx, request{Do: "certificate", Name: name})
	return a.Chain, err
}

// Certificate returns the appliance's certificate for TLS, the leaf first, and whether it is from a
// CA. It returns no chain if known, the SHA-256 of the chain that the caller has, is the present one.
func (f *Front) Certificate(ctx context.Context, known []byte) (chain [][]byte, fromCA bool, err error) {
	a, err := f.once(ctx, request{Do: "certificate", Known: known})
	return a.Chain, a.FromCA, err
}

// SignHandshake has the appliance sign what a server signs in a handshake of TLS, with the key of
// the certificate whose SHA-256 is leaf. scheme is the number of the algorithm (RFC 8446 section
// 4.2.3).
func (f *Front) SignHandshake(ctx context.Context, leaf []byte, scheme uint16, message []byte) ([]byte, error) {
	a, err := f.once(ctx, request{Do: "tlsSign", Known: leaf, Scheme: scheme, Message: message})
	return a.Signature, err
}

// Attach begins a session of a login, of kind web, api or azure, and returns its connection to the
// boundary. The session ends when the caller closes it; the appliance closes it when the session must
// end.
func (f *Front) Attach(ctx context.Context, login, kind string) (*os.File, error) {
	c, _, files, err := f.openFiles(ctx, request{Do: "attach", Login: login, Kind: kind})
	if err != nil {
		return nil, err
	}
	c.close()
	return files[0], nil
}

// serveAttach begins a session, and replies with one end of its connection to the boundary. Which
// acts the session may do, the boundary decides.
func (m *Monitor) serveAttach(c *net.UnixConn, q request) {
	file, err := m.attachSession(q)
	if err != nil {
		respond(c, q, m.failed(q.Do, err))
		return
	}
	defer file.Close()
	respond(c, q, reply{}, file) // if it fails, the end of the connection ends the session
}

// attachSession begins a session and returns the front's end of its connection.
func (m *Monitor) attachSession(q request) (*os.File, error) {
	if q.Kind != "web" && q.Kind != "api" && q.Kind != access.AzureSession {
		return nil, errUnknownRequest
	}
	caller, ended, detach, err := m.attach(q.Login, q.Kind)
	if err != nil {
		return nil, err
	}
	// A session of the page ends when its user has left, and one of a program when its token does. So
	// the front has no choice between them. What may be a session of a client of Azure, Attach knows.
	if q.Kind != access.AzureSession && (q.Kind == "api") != (caller.Token != "") {
		detach()
		return nil, errUnknownRequest
	}
	ours, theirs, err := pair()
	if err != nil {
		detach()
		return nil, err
	}
	defer theirs.Close()
	file, err := theirs.File()
	if err != nil {
		ours.Close()
		detach()
		return nil, err
	}
	m.boundary.AddSession(ours, caller, ended, detach)
	return file, nil
}
