package https

import (
	"net/http"
	"strings"
	"time"
)

// pagePolicy is what the page may load and do: its own files, and nothing that text could become
// (Content Security Policy Level 3, Trusted Types).
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// apiPolicy is that of answers of the API, which are no pages: a file that a browser is led to show can
// do nothing.
const apiPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

// isAPI reports whether a path is of the API, and not of the page.
func isAPI(path string) bool { return path == "/v1" || strings.HasPrefix(path, "/v1/") }

// securityHeaders are in every answer, and the appliance has no say in them.
var securityHeaders = http.Header{
	"X-Content-Type-Options":       {"nosniff"},
	"Referrer-Policy":              {"same-origin"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"X-Frame-Options":              {"DENY"},
	"Permissions-Policy": {"accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
		"hid=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()"},
}

// strictTransport has browsers come by HTTPS alone for a year. They then let nobody pass who sees a
// certificate that does not hold (RFC 6797 section 12.1), so it is only for one of a CA.
const strictTransport = "max-age=31536000"

// withHeaders adds the headers of every answer.
func (s *Server) withHeaders(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for name, value := range securityHeaders {
			header[name] = value
		}
		header.Set("Content-Security-Policy", pagePolicy)
		if isAPI(r.URL.Path) || s.isAzure(r) {
			header.Set("Content-Security-Policy", apiPolicy)
			header.Set("Cache-Control", "no-store")
		}
		if s.certificates.isFromCA() {
			header.Set("Strict-Transport-Security", strictTransport)
		}
		h.ServeHTTP(w, r)
	})
}

// A patientWriter gives a client that does not read writeTime for each part of an answer. Then the
// request ends.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	late    *time.Timer
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.late.Reset(writeTime)
	defer w.late.Stop()
	return w.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController calls.
func (w *patientWriter) FlushError() error {
	w.late.Reset(writeTime)
	defer w.late.Stop()
	return w.control.Flush()
}

// Unwrap is for http.ResponseController.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// patient bounds how long each answer waits for its client.
func patient(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		late := time.AfterFunc(writeTime, func() { control.SetWriteDeadline(time.Now()) })
		late.Stop()
		h.ServeHTTP(&patientWriter{w, control, late}, r)
	})
}
