package export

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// put copies by PUT (RFC 9110, section 9.3.4), and goes on where a copy before broke off only as far as what is there is known to be
// the file: by the server's own sum of it (Repr-Digest, RFC 9530), or by reading it back. The rest goes with Content-Range (RFC 9110,
// section 14.5), and then the whole is proven in the same way. Where one of these cannot be, or is refused, the file is sent anew from
// its first byte, in one request that TLS keeps whole; its sum goes along as Repr-Digest, for the server to check.
func (t Target) put(ctx context.Context, u *url.URL, f File, sent Sent) error {
	client, key := t.client()
	defer client.CloseIdleConnections()
	to := *u
	to.User, to.Path = nil, place(u, f.Name)
	w := &web{t, client, u.User.Username(), to.String()}

	found, err := w.look(ctx)
	if err != nil {
		return firstError(*key, unreachable(err, "the host %s does not answer", u.Hostname()))
	}
	if at := found.bytes; at > 0 && at <= f.Bytes {
		if done, err := w.resume(ctx, f, found, sent); done || ctx.Err() != nil {
			return err
		}
	}
	sent(0)
	status, err := w.put(ctx, f, 0, sent)
	switch {
	case errors.Is(err, errEarly):
		return failed(err, "the target answered before it had the file")
	case err != nil:
		return firstError(*key, failed(err, "the connection to the target broke off"))
	case status == http.StatusUnauthorized, status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return unreachable(nil, "the target takes no file: HTTP status %d", status)
	case status >= 300:
		return failed(nil, "the target refuses the file: HTTP status %d", status)
	case !stored(status):
		return failed(nil, "the target does not say that it has the file: HTTP status %d", status)
	}
	// Many servers tell nothing of what they have; what they tell must be right.
	found, err = w.look(ctx)
	switch {
	case err != nil:
		return failed(err, "the connection to the target broke off")
	case found.bytes >= 0 && found.bytes != f.Bytes:
		return failed(nil, "the file at the target has not the length that was sent")
	case found.sum != "" && found.sum != f.SHA256:
		return failed(nil, "the file at the target is not the one that was sent")
	}
	sent(f.Bytes)
	return nil
}

// resume sends what is missing behind what the server has. It is done when the server is proven to have the file.
func (w *web) resume(ctx context.Context, f File, found there, sent Sent) (done bool, err error) {
	here, err := Sum(ctx, f.Content, found.bytes)
	if err != nil || !w.has(ctx, found, here) {
		return false, nil
	}
	sent(found.bytes)
	if found.bytes < f.Bytes {
		status, err := w.put(ctx, f, found.bytes, sent)
		if err != nil {
			return true, failed(err, "the connection to the target broke off")
		}
		if !stored(status) {
			return false, nil // it does not know partial PUT, as it must say then
		}
		if found, err = w.look(ctx); err != nil || found.bytes != f.Bytes || !w.has(ctx, found, f.SHA256) {
			return false, nil
		}
	}
	sent(f.Bytes)
	return true, nil
}

// stored says that a status is a server's word that it has what was put (RFC 9110, section 9.3.4). Others of success say something else, such as 202:
// that it may have it one day.
func stored(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated || status == http.StatusNoContent
}

// has tells whether what is there has this sum.
func (w *web) has(ctx context.Context, found there, sum string) bool {
	if found.sum == "" {
		found.sum = w.readBack(ctx, found.bytes)
	}
	return found.sum == sum
}

// firstError is the wrong key, if that is what broke the connection.
func firstError(key *HostKeyError, err error) error {
	if key != nil {
		return key
	}
	return err
}

// client trusts the pinned certificate alone, or whom the machine trusts.
func (t Target) client() (*http.Client, **HostKeyError) {
	other := new(*HostKeyError)
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.HostKey != "" {
		// The pin takes the place of authorities and names.
		config.InsecureSkipVerify = true
		config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return errors.New("no certificate")
			}
			if found := Fingerprint(raw[0]); found != t.HostKey {
				*other = &HostKeyError{found}
				return *other
			}
			return nil
		}
	}
	dialer := net.Dialer{Timeout: dialTime}
	transport := &http.Transport{
		TLSClientConfig: config, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: silence, DisableCompression: true,
		ExpectContinueTimeout: time.Second, // servers that do not know it say nothing
		// A connection for each request: what a server says beyond its answer is then never taken for the answer to the next.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return quietConn{conn}, nil
		},
	}
	// A redirect would take the secret to another place.
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, other
}

// Fingerprint of a certificate, in the form that SSH keys have theirs.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// A web is a file's place on a server.
type web struct {
	target Target
	client *http.Client
	user   string
	url    string
}

func (w *web) request(ctx context.Context, method string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.url, body)
	if err != nil {
		return nil, err
	}
	switch {
	case w.target.Secret == "":
	case w.user != "":
		r.SetBasicAuth(w.user, w.target.Secret)
	default:
		r.Header.Set("Authorization", "Bearer "+w.target.Secret)
	}
	return r, nil
}

// there is what a server tells of its file.
type there struct {
	bytes int64  // -1: it does not tell, or has none
	sum   string // SHA-256, hexadecimal; empty: it does not tell
}

// look asks for the file without its content. Many servers tell nothing, which is no error.
func (w *web) look(ctx context.Context) (there, error) {
	r, err := w.request(ctx, http.MethodHead, nil)
	if err != nil {
		return there{}, err
	}
	r.Header.Set("Want-Repr-Digest", "sha-256=10")
	response, err := w.client.Do(r)
	if err != nil {
		return there{}, err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ContentLength < 0 {
		return there{bytes: -1}, nil
	}
	return there{response.ContentLength, digest(response.Header)}, nil
}

// digest is the SHA-256 of a Repr-Digest, empty if it has none (a dictionary of byte sequences, RFC 9530 and RFC 9651).
func digest(h http.Header) string {
	for _, member := range strings.Split(strings.Join(h.Values("Repr-Digest"), ","), ",") {
		value, is := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:")
		value, _, ends := strings.Cut(value, ":")
		if sum, err := base64.StdEncoding.DecodeString(value); is && ends && err == nil && len(sum) == sha256.Size {
			return hex.EncodeToString(sum)
		}
	}
	return ""
}

// readBack is the sum of a file of that length as the server gives it back, empty if it does not.
func (w *web) readBack(ctx context.Context, bytes int64) string {
	r, err := w.request(ctx, http.MethodGet, nil)
	if err != nil {
		return ""
	}
	r.Header.Set("Cache-Control", "no-cache")
	response, err := w.client.Do(r)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return ""
	}
	hash := sha256.New()
	if n, err := io.Copy(hash, io.LimitReader(response.Body, bytes+1)); err != nil || n != bytes {
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// put sends a file from a place in it. It asks first whether the server takes it (Expect, RFC 9110, section 10.1.1): one that refuses and
// closes the connection while the file is on its way would not be heard. A server that does not know how to answer that is not asked.
func (w *web) put(ctx context.Context, f File, at int64, sent Sent) (status int, err error) {
	status, err = w.send(ctx, f, at, sent, true)
	if err == nil && status == http.StatusExpectationFailed {
		return w.send(ctx, f, at, sent, false)
	}
	return status, err
}

func (w *web) send(ctx context.Context, f File, at int64, sent Sent, ask bool) (status int, err error) {
	body := &told{Reader: io.NewSectionReader(f.Content, at, f.Bytes-at), sent: sent}
	body.at.Store(at)
	r, err := w.request(ctx, http.MethodPut, body)
	if err != nil {
		return 0, err
	}
	r.ContentLength = f.Bytes - at
	if r.ContentLength == 0 {
		r.Body = http.NoBody
	}
	if ask {
		r.Header.Set("Expect", "100-continue")
	}
	r.Header.Set("Content-Type", "application/vnd.tcpdump.pcap")
	if sum, err := hex.DecodeString(f.SHA256); err == nil {
		r.Header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	if at > 0 {
		r.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, f.Bytes-1, f.Bytes))
	}
	response, err := w.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode < 300 && body.at.Load() < f.Bytes {
		return 0, errEarly
	}
	return response.StatusCode, nil
}

// errEarly says that a server agreed to a file of which it could not have had all.
var errEarly = errors.New("the target answered before it had the file")

// A told reader tells how far it has been read.
type told struct {
	io.Reader
	at   atomic.Int64 // the transport may go on reading while its answer is there
	sent Sent
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.sent(t.at.Add(int64(n)))
	return n, err
}
