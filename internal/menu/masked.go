package menu

import (
	"regexp"
	"strings"
)

// Asterisks replace secrets.
const Asterisks = "******"

// address matches a URL within a text, up to a blank.
var address = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://\S*`)

// addressed matches a text that is one URL, blanks in its password included.
var addressed = regexp.MustCompile(`(?is)^\s*"?[a-z][a-z0-9+.-]*://.*$`)

// MaskedURLs returns a text with the passwords and the queries of the URLs in it as asterisks. A
// URL that a user types may contain a secret, in any argument, accepted or not. It masks too much
// rather than too little: a password can contain a colon, a slash or an at sign that was not
// escaped.
func MaskedURLs(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	if addressed.MatchString(text) {
		return maskedURL(text)
	}
	return address.ReplaceAllStringFunc(text, maskedURL)
}

func maskedURL(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	at := strings.LastIndexByte(rest, '@')
	if colon := strings.IndexByte(rest, ':'); colon >= 0 && colon < at {
		rest = rest[:colon+1] + Asterisks + rest[at:]
	}
	if before, query, has := strings.Cut(rest, "?"); has && query != "" {
		rest = before + "?" + Asterisks
	}
	return scheme + "://" + rest
}

// Masked returns the arguments for an audit log: secrets as asterisks.
func (c *Command) Masked(args Arguments) Arguments {
	masked := make(Arguments, len(args))
	for name, text := range args {
		if c.secret(name) {
			text = Asterisks
		}
		masked[name] = MaskedURLs(text)
	}
	return masked
}

// HasSecret reports whether the arguments contain a secret, so that a history must not keep the
// line.
func (c *Command) HasSecret(args Arguments) bool {
	for name, text := range args {
		if c.secret(name) || MaskedURLs(text) != text {
			return true
		}
	}
	return false
}

// secret reports whether an argument must not be logged: a secret, or an unknown one.
func (c *Command) secret(name string) bool {
	p := c.param(name)
	return p == nil || p.Type == "secret"
}
