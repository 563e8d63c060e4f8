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
)

// put copies by PUT (RFC 9110, section 9.3.4). A server that has the beginning of the file, as HEAD says, is sent the rest with
// Content-Range (section 14.5); one that does not know partial PUT must refuse that, and is sent the whole. At the end HEAD must tell
// the whole length. The sum goes along as Repr-Digest (RFC 9530), for the server to check.
func (t Target) put(ctx context.Context, u *url.URL, f File, sent Sent) error {
	client, key := t.client()
	defer client.CloseIdleConnections()
	to := *u
	to.User, to.Path = nil, place(u, f.Name)
	w := &web{t, client, u.User.Username(), to.String()}

	at, _, err := w.length(ctx)
	switch {
	case err != nil:
		return firstError(*key, failed(err, "the host %s does not answer", u.Hostname()))
	case at >= f.Bytes:
		at = 0 // it is whole, or another file: what it is of cannot be asked, so it is sent
	}
	sent(at)
	status, err := w.put(ctx, f, at, sent)
	if at > 0 && err == nil && status >= 400 {
		sent(0)
		status, err = w.put(ctx, f, 0, sent)
	}
	switch {
	case err != nil:
		return firstError(*key, failed(err, "the connection to the target broke off"))
	case status >= 300:
		return failed(nil, "the target refuses the file: HTTP status %d", status)
	}
	if length, there, err := w.length(ctx); err == nil && there && length >= 0 && length != f.Bytes {
		sent(0)
		if status, err = w.put(ctx, f, 0, sent); err != nil || status >= 300 {
			return failed(err, "the target has not the whole file: HTTP status %d", status)
		}
		if length, there, err = w.length(ctx); err != nil || !there || length != f.Bytes {
			return failed(err, "the file at the target has not the length that was sent")
		}
	}
	sent(f.Bytes)
	return nil
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

// length of the file as the server has it. Many say nothing, which is no error.
func (w *web) length(ctx context.Context) (length int64, there bool, err error) {
	r, err := w.request(ctx, http.MethodHead, nil)
	if err != nil {
		return 0, false, err
	}
	response, err := w.client.Do(r)
	if err != nil {
		return 0, false, err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ContentLength < 0 {
		return 0, false, nil
	}
	return response.ContentLength, true, nil
}

func (w *web) put(ctx context.Context, f File, at int64, sent Sent) (status int, err error) {
	body := &told{Reader: io.NewSectionReader(f.Content, at, f.Bytes-at), at: at, sent: sent}
	r, err := w.request(ctx, http.MethodPut, body)
	if err != nil {
		return 0, err
	}
	r.ContentLength = f.Bytes - at
	if r.ContentLength == 0 {
		r.Body = http.NoBody
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
	return response.StatusCode, nil
}

// A told reader tells how far it has been read.
type told struct {
	io.Reader
	at   int64
	sent Sent
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.at += int64(n)
	t.sent(t.at)
	return n, err
}
