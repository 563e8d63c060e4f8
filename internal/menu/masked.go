package menu

import (
	"regexp"
	"strings"
)

// Asterisks stand for what nobody is to read.
const Asterisks = "******"

// address is a URL within a text, up to a blank.
var address = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://\S*`)

// addressed is a text that is one URL, blanks in its password included.
var addressed = regexp.MustCompile(`(?is)^\s*"?[a-z][a-z0-9+.-]*://.*$`)

// MaskedURLs is a text with the passwords and the queries of the URLs in it as asterisks. Whoever types a URL may put a secret in it,
// wherever it goes and whether or not it is accepted there. What is masked rather reaches too far than not far enough: a password can
// hold a colon, a slash or an at sign that its writer did not escape.
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

// Masked returns the arguments as an audit log may keep them: secrets as asterisks.
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

// HasSecret reports whether the arguments hold a secret, so that a history must not keep the line.
func (c *Command) HasSecret(args Arguments) bool {
	for name, text := range args {
		if c.secret(name) || MaskedURLs(text) != text {
			return true
		}
	}
	return false
}

// secret says that an argument is for no log: a secret, or one of which nothing is known.
func (c *Command) secret(name string) bool {
	p := c.param(name)
	return p == nil || p.Type == "secret"
}
