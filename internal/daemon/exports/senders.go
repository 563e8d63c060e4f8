package exports

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"diagsh/diag/dns"
	"diagsh/internal/daemon/exports/objects"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/menu"
)

// senders are the ways to copy a file.
var senders = []sending.Sender{sending.SFTP{}, sending.HTTPS{}, objects.Azblob{}, objects.S3{}}

// parseURL reads the URL of a target and returns the sender of its scheme. Its error is for users.
func parseURL(text string) (*url.URL, sending.Sender, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, nil, errors.New("a target is " + oneOf(sending.Sender.Form))
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return nil, nil, errors.New("a port is a number from 1 to 65535")
	}
	i := slices.IndexFunc(senders, func(s sending.Sender) bool { return s.Scheme() == u.Scheme })
	if i < 0 {
		return nil, nil, errors.New("a target begins with " + oneOf(func(s sending.Sender) string { return s.Scheme() + "://" }))
	}
	s := senders[i]
	if err := s.Check(u); err != nil {
		return nil, nil, err
	}
	if u.Fragment != "" {
		return nil, nil, errors.New("a target ends with its folder; a token is given by itself, as the secret")
	}
	if _, has := u.User.Password(); has {
		return nil, nil, errors.New("a password is given by itself, and not in the URL")
	}
	if _, err := dns.ASCII(u.Hostname()); err != nil {
		return nil, nil, errors.New("the host has a name that the DNS cannot have: it is in other letters, and not as IDNA 2008 allows")
	}
	return u, s, nil
}

// oneOf joins what the senders are called.
func oneOf(of func(sending.Sender) string) string {
	var words []string
	for _, s := range senders {
		words = append(words, of(s))
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// checkProofs returns what is wrong with what the appliance and the host prove themselves by.
func checkProofs(s sending.Sender, u *url.URL, hostKey, secret string) error {
	if hostKey != "" && u.Query().Get("tls") == "no" {
		return menu.BadArgument("hostkey", "Without TLS the host shows no certificate").WithHint("Leave hostkey out, or tls=no out of the URL")
	}
	if checks, ok := s.(sending.SecretChecker); ok {
		if err := checks.CheckSecret(secret); err != nil {
			return menu.BadArgument("secret", "%s", menu.Sentence(err.Error()))
		}
	}
	return nil
}
