package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"diagsh/internal/menu"
)

// A kind is a setting that the schema has.
type kind struct {
	section string
	field   string // empty: the section is the setting itself
	number  bool   // written without quotes
	// read normalises a value to the form of documents, or returns an error that says what is
	// accepted.
	read func(text string) (string, error)
}

// schema has all of them, in the order in which they are written.
var schema = []kind{
	{"hostname", "", false, readHostname},
	{"banner", "", false, readText},
	{"welcome", "", false, readText},
	{"idleTimeout", "", false, readIdle},
	{"interfaces", "media", false, readMedium},
	{"interfaces", "mtu", true, readNumber(68, 65535)},
	{"vlans", "parent", false, readInterface},
	{"vlans", "id", true, readNumber(1, 4094)},
	{"loopback", "", false, readAddress},
	{"multicastARP", "", false, readChoice(Accept, Reject)},
	{"certificate", "", false, readCertificate},
	{"acmeDirectory", "", false, readDirectory},
	{"acmeNames", "", false, readNames},
	{"acmeContact", "", false, readContact},
	{"acmeAuthority", "", false, readAuthority},
}

// place returns the position of a setting's section in the schema, fieldPlace that of its field.
func place(p Path) int {
	return slices.IndexFunc(schema, func(k kind) bool { return k.section == p.Section })
}

func fieldPlace(p Path) int {
	return slices.IndexFunc(schema, func(k kind) bool { return k.section == p.Section && k.field == p.Field })
}

// Read normalises a value of a setting to the form of a document, or returns an error that says
// what is accepted.
func Read(p Path, text string) (string, error) {
	i := fieldPlace(p)
	if i < 0 {
		return "", errors.New("there is no such setting")
	}
	if p.Name != "" && !PlainInterface(p.Name) {
		return "", errInterface
	}
	return schema[i].read(text)
}

func readHostname(text string) (string, error) {
	return text, CheckHostname(text)
}

// CheckHostname accepts what may be in a prompt and at the beginning of a file name: a host name as
// in RFC 1123, section 2.1.
func CheckHostname(host string) error {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if host == "" || len(host) > 63 || strings.Trim(host, first+".-") != "" || strings.IndexByte(first, host[0]) < 0 {
		return errors.New("it is a host name of letters, digits, hyphens and dots, at most 63 characters")
	}
	return nil
}

// maxText limits the texts before and after a login, in bytes.
const maxText = 16 << 10

func readText(text string) (string, error) {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if text == "" || len(text) > maxText ||
		strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("it is a text of at most %d bytes without control characters", maxText)
	}
	return text, nil
}

func readIdle(text string) (string, error) {
	d, err := menu.ParseDuration(text)
	if err != nil || d > 30*24*time.Hour {
		return "", errors.New("it is a duration up to 30d, such as 90s, 30m or 4h; 0 for never")
	}
	return menu.FormatDuration(d), nil
}

func readNumber(least, most int) func(string) (string, error) {
	return func(text string) (string, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return "", fmt.Errorf("it is a whole number from %d to %d", least, most)
		}
		return strconv.Itoa(n), nil
	}
}

func readMedium(text string) (string, error) {
	if text == "" || len(text) > 32 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("it is autoselect, or a mode such as 100baseT/Full")
	}
	return text, nil
}

var errInterface = errors.New("it is the name of an interface, at most 15 characters")

func readInterface(text string) (string, error) {
	if !PlainInterface(text) {
		return "", errInterface
	}
	return text, nil
}

// PlainInterface reports whether Linux accepts this interface name (dev_valid_name in
// net/core/dev.c) and it is plain to read.
func PlainInterface(name string) bool {
	return name != "" && len(name) <= 15 && name != "." && name != ".." &&
		!strings.ContainsFunc(name,
			func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/:'"\;,%`, r) })
}

func readAddress(text string) (string, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() || a.Is4In6() {
		return "",
			errors.New("it is an IPv4 or IPv6 address of one host, such as 192.0.2.10, and none of 127.0.0.0/8 or ::1")
	}
	return a.String(), nil
}

// readCertificate reads the name of a certificate: acme, or its SHA-256 as openssl and browsers write it,
// with colons or without, and if there are several with the same one, the beginning of the SHA-256 of
// the rest of its chain.
func readCertificate(text string) (string, error) {
	if strings.EqualFold(text, ByACME) {
		return ByACME, nil
	}
	sum, chain, several := strings.Cut(strings.ToUpper(text), " CHAIN ")
	octets, err := hex.DecodeString(strings.ReplaceAll(sum, ":", ""))
	rest, other := hex.DecodeString(chain)
	if err != nil || len(octets) != sha256.Size || several && (other != nil || len(rest) != ChainBytes) {
		return "", errors.New("it is acme, or the SHA-256 fingerprint of a certificate that the appliance has; certificate show lists them")
	}
	if several {
		chain = " chain " + chain
	}
	return Fingerprint([sha256.Size]byte(octets)) + chain, nil
}

// ChainBytes are of the SHA-256 of a chain in the name of a certificate.
const ChainBytes = 4

// Fingerprint writes a SHA-256 as openssl and browsers do: AB:CD:...
func Fingerprint(sum [sha256.Size]byte) string {
	var b strings.Builder
	for i, octet := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return b.String()
}

func readChoice(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", errors.New("it is " + strings.Join(words, " or "))
		}
		return text, nil
	}
}
