package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// webPassword is the password of the measured account at HTTPS.
const webPassword = "correct horse bench"

// The binary of the commit before HTTPS, and by how much all of HTTPS may make it larger.
const (
	sizeBefore = 20_414_626
	sizeCommit = "aa98f09"
	sizeGrowth = 6_000_000
)

// web measures what is reached by HTTPS, at an appliance of its own: packets of a large file, open
// pages, and how soon the page is there.
func web(ctx context.Context, b *bed) ([]figure, error) {
	s, err := b.startAppliance(ctx, b.path("web"))
	if err != nil {
		return nil, err
	}
	defer s.stop()
	line := "userconfig password " + user + " password '" + webPassword + "'"
	if err := silent(b.ssh(ctx, s, line)); err != nil {
		return nil, err
	}
	w := &webBench{bed: b, server: s, diagnostic: filepath.Join(b.path("web"), "diagnostic")}
	var all []figure
	for _, take := range []func(context.Context) ([]figure, error){w.packets, w.pages, w.paint, w.assets, w.size} {
		figures, err := take(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// A webBench is what the measurements of web share.
type webBench struct {
	*bed
	server     *server
	diagnostic string // the appliance's folder of captures
	copies     uint32 // of the file of packets, so far
}

// processes returns the appliance and its fronts.
func (w *webBench) processes() ([]int, error) {
	all := []int{w.server.cmd.Process.Pid}
	below, err := children(all[0])
	if err != nil {
		return nil, err
	}
	for _, pid := range below {
		if isFront(pid) {
			all = append(all, pid)
		}
	}
	if len(all) == 1 {
		return nil, errors.New("the appliance has no front")
	}
	return all, nil
}

// size compares the binary with the one before HTTPS.
func (w *webBench) size(context.Context) ([]figure, error) {
	info, err := os.Stat(w.binary)
	if err != nil {
		return nil, err
	}
	more := info.Size() - sizeBefore
	return []figure{{
		what: "size of the binary | " + sizeCommit, ours: fmt.Sprintf("%d bytes", info.Size()),
		peer: fmt.Sprintf("%d bytes", sizeBefore),
		goal: fmt.Sprintf("at most 6 MB more; is %.2f MB", float64(more)/1e6), met: more <= sizeGrowth,
	}}, nil
}

// A visitor is a browser's session: a connection of its own, signed in.
type visitor struct {
	page   string
	client *http.Client
}

// signIn signs in as a new visitor. Where the appliance says that it is too early for one more, it
// waits as long as it is told.
func (w *webBench) signIn(ctx context.Context) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{page: w.server.page, client: &http.Client{Jar: jar, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		// The certificate was made by the appliance itself.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}}
	for {
		r, err := v.send(ctx, "POST", "/v1/login", map[string]string{"user": user, "password": webPassword}, false)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case r.StatusCode == http.StatusOK:
			return v, nil
		case r.StatusCode != http.StatusTooManyRequests:
			return nil, fmt.Errorf("sign in: %s: %s", r.Status, text)
		}
		seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
		if err != nil {
			return nil, fmt.Errorf("sign in: %s without a time to wait: %w", r.Status, err)
		}
		pause(ctx, time.Duration(seconds)*time.Second)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// close gives up the visitor's connection.
func (v *visitor) close() { v.client.CloseIdleConnections() }

// send sends a request, whose body is JSON unless it is nil, and returns the answer as it begins.
// background says that no act of a person is behind it.
func (v *visitor) send(ctx context.Context, method, path string, body any, background bool) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, v.page+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if background {
		q.Header.Set("Diagsh-Background", "true")
	}
	return v.client.Do(q)
}

// run runs a command and reads its answer into answer. It returns the time from the request to the
// answer's last byte.
func (v *visitor) run(ctx context.Context, path string, arguments map[string]any, answer any) (time.Duration, error) {
	began := time.Now()
	r, err := v.send(ctx, "POST", "/v1/run/"+strings.ReplaceAll(path, " ", "/"), arguments, false)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if r.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s: %s", path, r.Status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return took, nil
}

// timed runs a program without its output and returns how long it took.
func timed(cmd *exec.Cmd) (time.Duration, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(said.String()))
	}
	return took, nil
}
