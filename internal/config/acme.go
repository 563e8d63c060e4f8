package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
)

// readDirectory reads the address of the directory of a CA that speaks ACME (RFC 8555 section 7.1.1).
func readDirectory(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(text) > 500 ||
		strings.ContainsFunc(text, unicode.IsSpace) {
		return "", errors.New("it is the address of an ACME directory, such as https://ca.example.com/acme/acme/directory")
	}
	return u.String(), nil
}

// mostNames are those of a certificate.
const mostNames = 100

// readNames reads host names, separated by commas. A CA looks for each at port 443 of the host, so
// there is none for all names of a domain.
func readNames(text string) (string, error) {
	var names []string
	for part := range strings.SplitSeq(text, ",") {
		name := strings.ToLower(strings.TrimSpace(part))
		if CheckHostname(name) != nil || strings.Contains(name, "..") || strings.HasSuffix(name, ".") {
			return "", errors.New("it is host names such as mx1.example.com, separated by commas")
		}
		names = append(names, name)
	}
	if len(names) > mostNames {
		return "", fmt.Errorf("it is at most %d host names", mostNames)
	}
	return strings.Join(names, ","), nil
}

// readContact reads the address that the CA writes to.
func readContact(text string) (string, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || a.Address != text {
		return "", errors.New("it is a mail address such as ops@example.com")
	}
	return text, nil
}

// readAuthority reads certificates in PEM, and drops what is around them.
func readAuthority(text string) (string, error) {
	fault := errors.New("it is the certificate of a CA in PEM, of at most 16 KB")
	if len(text) > maxText {
		return "", fault
	}
	var b strings.Builder
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); block.Type != "CERTIFICATE" || err != nil {
			return "", fault
		}
		b.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	if b.Len() == 0 {
		return "", fault
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
