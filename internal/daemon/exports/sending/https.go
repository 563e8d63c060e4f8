package sending

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"
)

// HTTPS copies by PUT (RFC 9110, section 9.3.4). It resumes a broken copy only as far as
// what is there is proven to be the file: by the server's own sum of it (Repr-Digest, RFC 9530), or
// by reading it back. The rest goes with Content-Range (RFC 9110, section 14.5), and then the whole
// is proven in the same way. Where one of these is not possible, or is refused, the file is sent
// again from its first byte, in one request that TLS keeps whole. Its sum goes along as
// Repr-Digest, for the server to check.
type HTTPS struct{ silence time.Duration } // zero: Silence

func (HTTPS) Scheme() string { return "https" }

func (HTTPS) Form() string { return "https://HOST/FOLDER" }

// Check implements Sender.
func (HTTPS) Check(u *url.URL) error { return noQuery(u) }

func (HTTPS) Login(u *url.URL, secret string) string {
	switch {
	case secret == "":
		return LoginNone
	case u.User.Username() == "":
		return LoginToken
	}
	return LoginPassword
}

// Send implements Sender.
func (s HTTPS) Send(ctx context.Context, to Destination, f File, sent Progress) error {
	client := NewClient(to, cmp.Or(s.silence, Silence))
	// A connection for each request: what a server says beyond its answer is then never taken for
	// the answer to the next.
	client.Transport.DisableKeepAlives = true
	defer client.CloseIdleConnections()
	at := *to.URL
	at.User, at.Path = nil, path.Join(to.URL.Path, f.Place())
	w := &web{to: to, client: client.Client, url: at.String()}

	found, err := w.look(ctx)
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case err != nil:
		return client.Lost(err)
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
		return Failed(err, "the target answered before it had the file")
	case err != nil:
		return client.First(Failed(err, "the connection to the target broke off"))
	case w.clock != "" && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return Unreachable(nil, "the target takes no file: HTTP status %d%s", status, w.clock)
	case status == http.StatusUnauthorized, isBusy(status):
		return busy(status, w.wait)
	case status >= 300:
		return Failed(nil, "the target refuses the file: HTTP status %d", status)
	case !stored(status):
		return Failed(nil, "the target does not say that it has the file: HTTP status %d", status)
	}
	// Many servers tell nothing of what they have; what they tell must be right.
	found, err = w.look(ctx)
	switch {
	case errors.As(err, &known):
		return err
	case err != nil:
		return Failed(err, "the connection to the target broke off")
	case found.bytes >= 0 && found.bytes != f.Bytes:
		return Failed(nil, "the file at the target has not the length that was sent")
	case found.sum != "" && found.sum != f.Sum:
		return Failed(nil, "the file at the target is not the one that was sent")
	}
	sent(f.Bytes)
	return nil
}

// resume sends what follows after the bytes that the server has. It reports done when the server is
// proven to have the file.
func (w *web) resume(ctx context.Context, f File, found there, sent Progress) (done bool, err error) {
	here, err := SumOf(ctx, f.Content, found.bytes)
	if err != nil || !w.has(ctx, found, here) {
		return false, nil
	}
	sent(found.bytes)
	if found.bytes < f.Bytes {
		status, err := w.put(ctx, f, found.bytes, sent)
		if err != nil {
			return true, Failed(err, "the connection to the target broke off")
		}
		if !stored(status) {
			return false, nil // it does not know partial PUT, as it must say then
		}
		if found, err = w.look(ctx); err != nil || found.bytes != f.Bytes || !w.has(ctx, found, f.Sum) {
			return false, nil
		}
	}
	sent(f.Bytes)
	return true, nil
}

// stored says that a status is a server's word that it has what was put (RFC 9110, section 9.3.4).
// Others of success say something else, such as 202: that it may have it one day.
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

// A web is a file's place on a server.
type web struct {
	to     Destination
	client *http.Client
	url    string
	wait   time.Duration // how long the server asked to wait when it last refused
	clock  string        // what is told if its clock differs from ours
}

func (w *web) request(ctx context.Context, method string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.url, body)
	if err != nil {
		return nil, err
	}
	switch {
	case w.to.Secret == "":
	case w.to.URL.User.Username() != "":
		r.SetBasicAuth(w.to.URL.User.Username(), w.to.Secret)
	default:
		r.Header.Set("Authorization", "Bearer "+w.to.Secret)
	}
	return r, nil
}

// there is what a server tells of its file.
type there struct {
	bytes int64  // -1: it does not tell, or has none
	sum   string // SHA-256, hexadecimal; empty: it does not tell
}

// isBusy reports whether a status says that the server takes nothing now.
func isBusy(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

func busy(status int, wait time.Duration) error {
	return &Error{Text: fmt.Sprintf("the target takes no file: HTTP status %d", status), Unreachable: true, RetryAfter: wait}
}

// look asks for the file without its content. Many servers tell nothing, which is no error. One
// that says when to come again is not sent the file before.
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
	if wait := RetryAfter(response.Header, time.Now()); wait > 0 && isBusy(response.StatusCode) {
		return there{}, busy(response.StatusCode, wait)
	}
	if response.StatusCode != http.StatusOK || response.ContentLength < 0 {
		return there{bytes: -1}, nil
	}
	return there{response.ContentLength, digest(response.Header)}, nil
}

// digest is the SHA-256 of a Repr-Digest, empty if it has none (a dictionary of byte sequences, RFC
// 9530 and RFC 9651).
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

// put sends a file from a place in it. It asks first whether the server takes it (Expect, RFC 9110,
// section 10.1.1): one that refuses and closes the connection while the file is on its way would
// not be heard. A server that does not know how to answer that is not asked.
func (w *web) put(ctx context.Context, f File, at int64, sent Progress) (status int, err error) {
	status, err = w.send(ctx, f, at, sent, true)
	if err == nil && status == http.StatusExpectationFailed {
		return w.send(ctx, f, at, sent, false)
	}
	return status, err
}

func (w *web) send(ctx context.Context, f File, at int64, sent Progress, ask bool) (status int, err error) {
	body := &told{Reader: w.to.Limited(io.NewSectionReader(f.Content, at, f.Bytes-at)), sent: sent}
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
	r.Header.Set("Content-Type", cmp.Or(f.ContentType, PacketsType))
	if sum, err := hex.DecodeString(f.Sum); err == nil {
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
	w.wait, w.clock = RetryAfter(response.Header, time.Now()), wrongClock(response.Header, time.Now())
	return response.StatusCode, nil
}

// errEarly says that a server agreed to a file of which it could not have had all.
var errEarly = errors.New("the target answered before it had the file")

// A told reader tells how far it has been read.
type told struct {
	io.Reader
	at   atomic.Int64 // the transport may go on reading while its answer is there
	sent Progress
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.sent(t.at.Add(int64(n)))
	return n, err
}
