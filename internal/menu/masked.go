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

// privateKey matches a private key in PEM, one that was cut off as well.
var privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`)

// MaskedText returns a text with private keys, and the passwords and queries of the URLs in it, as
// asterisks. What a user types may contain a secret, in any argument, accepted or not. It masks too
// much rather than too little: a password can contain any character that was not escaped.
func MaskedText(text string) string {
	text = privateKey.ReplaceAllLiteralString(text, Asterisks)
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
		if masked[name] = MaskedText(text); c.secret(name) {
			masked[name] = Asterisks
		}
	}
	return masked
}

// HasSecret reports whether the arguments contain a secret, so that a history must not keep the
// line.
func (c *Command) HasSecret(args Arguments) bool {
	for name, text := range args {
		if c.secret(name) || MaskedText(text) != text {
			return true
		}
	}
	return false
}

// secret reports whether an argument must not be logged: a secret, or an unknown one.
func (c *Command) secret(name string) bool {
	p := c.param(name)
	return p == nil || strings.HasPrefix(p.Type, "secret")
}
