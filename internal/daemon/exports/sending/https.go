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

// HTTPS copies by PUT (RFC 9110, section 9.3.4). It resumes a broken copy, or replaces an earlier one,
// only if what is there is proven to be the beginning of the file: by the server's own sum of it
// (Repr-Digest, RFC 9530), or by reading it back. The rest goes with Content-Range (RFC 9110, section
// 14.5); a server that refuses that gets the file from its first byte. Then the whole is proven in the
// same way. A server that gives neither a sum nor the file back is believed: the file went there in one
// request that TLS keeps whole, with its sum as Repr-Digest for the server to check. Any other file of
// the name stays, by If-None-Match also one that comes meanwhile.
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
	if err != nil {
		return client.lostLook(err)
	}
	if found.bytes >= 0 {
		if done, err := w.goOn(ctx, f, found, sent); done || err != nil {
			return err
		}
	}
	for range 2 { // what a server has otherwise than it was sent is sent once more
		var right bool
		if right, err = w.whole(ctx, client, f, sent); right || err != nil {
			return err
		}
	}
	return Failed(nil, "the file at the target is not the one that was sent")
}

// lostLook returns the error of a first question that has no answer.
func (c *Client) lostLook(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	return c.Lost(err)
}

// goOn sends what follows after what the server has. It reports done when the server is proven to have
// the file, and not done when the file may be sent from its first byte in the place of what is there.
func (w *web) goOn(ctx context.Context, f File, found there, sent Progress) (done bool, _ error) {
	w.replaces, w.etag = true, found.etag
	switch is, told, err := w.has(ctx, f, found); {
	case err != nil:
		return false, err
	case !told:
		return false, Failed(nil, "the target has a file of this name already, which stays: it tells neither its sum nor its content")
	case !is:
		return false, anotherFile()
	}
	if found.bytes == 0 && f.Bytes > 0 {
		return false, nil
	}
	sent(found.bytes)
	if found.bytes < f.Bytes {
		status, err := w.put(ctx, f, found.bytes, sent)
		if err != nil {
			return false, Failed(err, "the connection to the target broke off")
		}
		if !stored(status) {
			return false, nil // it does not know partial PUT, as it must say then
		}
		if found, err = w.look(ctx); err != nil {
			return false, Failed(err, "the connection to the target broke off")
		}
		w.etag = found.etag
		if is, _, err := w.has(ctx, f, found); err != nil || !is || found.bytes != f.Bytes {
			return false, err
		}
	}
	sent(f.Bytes)
	return true, nil
}

// whole sends the file from its first byte. It reports whether the server has what was sent.
func (w *web) whole(ctx context.Context, client *Client, f File, sent Progress) (right bool, _ error) {
	sent(0)
	status, err := w.put(ctx, f, 0, sent)
	switch {
	case errors.Is(err, errEarly):
		return false, Failed(err, "the target answered before it had the file")
	case err != nil:
		return false, client.First(Failed(err, "the connection to the target broke off"))
	case w.clock != "" && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return false, Unreachable(nil, "the target takes no file: HTTP status %d%s", status, w.clock)
	case status == http.StatusUnauthorized, isBusy(status):
		return false, busy(status, w.wait)
	case status == http.StatusPreconditionFailed: // a file came there meanwhile, or the answer to an earlier try was lost
	case status >= 300:
		return false, Failed(nil, "the target refuses the file: HTTP status %d", status)
	case !stored(status):
		return false, Failed(nil, "the target does not say that it has the file: HTTP status %d", status)
	}
	found, err := w.look(ctx)
	var known *Error
	switch {
	case errors.As(err, &known):
		return false, err
	case err != nil:
		return false, Failed(err, "the connection to the target broke off")
	}
	is, told, err := w.has(ctx, f, found)
	is, told = is && found.bytes == f.Bytes, told || found.bytes >= 0 && found.bytes != f.Bytes
	switch taken := stored(status); {
	case err != nil:
		return false, err
	case !taken && !is, taken && told && !is && w.made != "" && found.etag != "" && w.made != found.etag:
		return false, anotherFile()
	case taken && told && !is:
		w.replaces, w.etag = true, found.etag
		return false, nil
	}
	sent(f.Bytes) // Many servers tell nothing of what they have: their word counts. What they tell must be right.
	return true, nil
}

// stored says that a status is a server's word that it has what was put (RFC 9110, section 9.3.4).
// Others of success say something else, such as 202: that it may have it one day.
func stored(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated || status == http.StatusNoContent
}

// has reports whether what is there is the beginning of the file, or all of it: by the server's own sum,
// or by what it gives back. told is false if it gives neither.
func (w *web) has(ctx context.Context, f File, found there) (is, told bool, err error) {
	switch {
	case found.bytes < 0:
		return false, false, nil
	case found.bytes > f.Bytes:
		return false, true, nil
	case found.bytes == 0:
		return true, true, nil
	}
	if found.sum == "" {
		if found.sum, err = w.readBack(ctx, found.bytes); err != nil || found.sum == "" {
			return false, false, err
		}
	}
	here, err := SumOf(ctx, f.Content, found.bytes)
	return here == found.sum, true, err
}

// A web is a file's place on a server.
type web struct {
	to     Destination
	client *http.Client
	url    string
	wait   time.Duration // how long the server asked to wait when it last refused
	clock  string        // what is told if its clock differs from ours

	replaces bool   // what is there is an earlier copy of the file, which it takes the place of
	etag     string // of what it takes the place of; empty: the server does not tell
	made     string // the entity tag of what was put last; empty: the server does not tell
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
	etag  string // that it can be replaced by; empty: it does not tell
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
	return there{response.ContentLength, digest(response.Header), entityTag(response.Header)}, nil
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

// entityTag is the strong entity tag of an answer (RFC 9110, section 8.8.3), empty if it has none.
func entityTag(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return ""
}

// readBack is the sum of a file of that length as the server gives it back, empty if it does not.
func (w *web) readBack(ctx context.Context, bytes int64) (string, error) {
	r, err := w.request(ctx, http.MethodGet, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Cache-Control", "no-cache")
	response, err := w.client.Do(r)
	if err != nil {
		return "", cmp.Or(ctx.Err(), Failed(err, "the connection to the target broke off"))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", nil
	}
	hash := sha256.New()
	_, err = io.Copy(&checking{hash, 0, w.to.Checked}, w.to.Limited(io.LimitReader(response.Body, bytes+1)))
	if err != nil {
		return "", cmp.Or(ctx.Err(), Failed(err, "the file cannot be read back at the target"))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
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
	if !w.replaces {
		r.Header.Set("If-None-Match", "*") // for what comes there meanwhile
	} else if w.etag != "" {
		r.Header.Set("If-Match", w.etag)
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
	w.made = entityTag(response.Header)
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
