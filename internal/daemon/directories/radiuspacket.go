package directories

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// Codes of packets (RFC 2865 section 3).
const (
	accessRequest   = 1
	accessAccept    = 2
	accessReject    = 3
	accessChallenge = 11
)

// Types of attributes (RFC 2865 section 5, RFC 3579 section 3.2).
const (
	attrUserName             = 1
	attrUserPassword         = 2
	attrServiceType          = 6
	attrFilterID             = 11
	attrReplyMessage         = 18
	attrClass                = 25
	attrSessionTimeout       = 27
	attrCallingStationID     = 31
	attrNASIdentifier        = 32
	attrNASPortType          = 61
	attrMessageAuthenticator = 80
)

// Sizes in bytes. A password is hidden in blocks of 16, at most 8 of them.
const (
	radiusHeader      = 20
	maxRADIUSPacket   = 4096
	maxRADIUSPassword = 128
	maxRADIUSValue    = 253
)

// An attribute is one of a packet.
type attribute struct {
	kind  byte
	value []byte
}

// A radiusPacket is what is sent and received (RFC 2865 section 3).
type radiusPacket struct {
	code          byte
	id            byte
	authenticator [md5.Size]byte
	attributes    []attribute
}

// values returns the values of all attributes of a type.
func (p *radiusPacket) values(kind byte) (list []string) {
	for _, a := range p.attributes {
		if a.kind == kind {
			list = append(list, string(a.value))
		}
	}
	return list
}

// newAccessRequest returns a request with a random authenticator. Message-Authenticator is the first
// attribute, as it must be where it is to protect the others.
func newAccessRequest(user, password, secret string, more ...attribute) (*radiusPacket, error) {
	if len(user) > maxRADIUSValue || len(password) > maxRADIUSPassword {
		return nil, errors.New("the name or the password is too long for RADIUS")
	}
	var random [1 + md5.Size]byte
	rand.Read(random[:])
	p := &radiusPacket{code: accessRequest, id: random[0], authenticator: [md5.Size]byte(random[1:])}
	p.attributes = append([]attribute{
		{attrMessageAuthenticator, make([]byte, md5.Size)},
		{attrUserName, []byte(user)},
		{attrUserPassword, hide(password, secret, p.authenticator[:])},
	}, more...)
	return p, nil
}

// hide returns a password as RFC 2865 section 5.2 hides it.
func hide(password, secret string, authenticator []byte) []byte {
	blocks := max(1, (len(password)+md5.Size-1)/md5.Size)
	hidden := make([]byte, blocks*md5.Size)
	copy(hidden, password)
	before := authenticator
	for at := 0; at < len(hidden); at += md5.Size {
		sum := md5.Sum(append([]byte(secret), before...))
		subtle.XORBytes(hidden[at:at+md5.Size], hidden[at:at+md5.Size], sum[:])
		before = hidden[at : at+md5.Size]
	}
	return hidden
}

// encode returns the bytes of a request, with its Message-Authenticator (RFC 3579 section 3.2).
func (p *radiusPacket) encode(secret string) []byte {
	b := make([]byte, radiusHeader, maxRADIUSPacket)
	b[0], b[1] = p.code, p.id
	copy(b[4:], p.authenticator[:])
	at := 0
	for _, a := range p.attributes {
		if a.kind == attrMessageAuthenticator {
			at = len(b) + 2
		}
		value := a.value[:min(len(a.value), maxRADIUSValue)]
		b = append(append(b, a.kind, byte(2+len(value))), value...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if at > 0 {
		copy(b[at:], messageAuthenticator(b, secret))
	}
	return b
}

func messageAuthenticator(packet []byte, secret string) []byte {
	h := hmac.New(md5.New, []byte(secret))
	h.Write(packet)
	return h.Sum(nil)
}

// Faults of an answer. One that is not by a holder of the secret counts as none: everybody can send
// it.
var (
	errNotRADIUS    = errors.New("it is no packet of RADIUS")
	errForged       = errors.New("an answer came that is not by the secret of the configuration")
	errUnprotected  = errors.New("the answer has no Message-Authenticator, which RFC 3579 has it carry; without it anybody on the way can change it (CVE-2024-3596)")
	errOtherRequest = errors.New("the answer is to another request")
)

// parseAnswer reads the answer to a request. It must have the request's identifier, an authenticator
// and a Message-Authenticator by the secret.
func parseAnswer(b []byte, request *radiusPacket, secret string) (*radiusPacket, error) {
	p, at, err := parseRADIUS(b)
	if err != nil {
		return nil, err
	}
	b = b[:binary.BigEndian.Uint16(b[2:])]
	if p.id != request.id {
		return nil, errOtherRequest
	}
	// MD5 of the packet with the request's authenticator in the place of its own, and of the secret
	// (RFC 2865 section 3).
	signed := append([]byte{}, b...)
	copy(signed[4:], request.authenticator[:])
	sum := md5.Sum(append(append([]byte{}, signed...), secret...))
	if !hmac.Equal(sum[:], p.authenticator[:]) {
		return nil, errForged
	}
	if at == 0 {
		return nil, errUnprotected
	}
	said := [md5.Size]byte(signed[at:])
	clear(signed[at : at+md5.Size])
	if !hmac.Equal(messageAuthenticator(signed, secret), said[:]) {
		return nil, errForged
	}
	return p, nil
}

// parseRADIUS takes a packet apart. at is where the value of its only Message-Authenticator is; 0: it
// has none.
func parseRADIUS(b []byte) (p *radiusPacket, at int, err error) {
	if len(b) < radiusHeader || len(b) > maxRADIUSPacket {
		return nil, 0, errNotRADIUS
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length < radiusHeader || length > len(b) {
		return nil, 0, errNotRADIUS
	}
	p = &radiusPacket{code: b[0], id: b[1], authenticator: [md5.Size]byte(b[4:])}
	for i := radiusHeader; i < length; {
		if i+2 > length || b[i+1] < 2 || i+int(b[i+1]) > length {
			return nil, 0, errNotRADIUS
		}
		kind, value := b[i], b[i+2:i+int(b[i+1])]
		if kind == attrMessageAuthenticator {
			if at > 0 || len(value) != md5.Size {
				return nil, 0, errNotRADIUS
			}
			at = i + 2
		}
		p.attributes = append(p.attributes, attribute{kind, value})
		i += int(b[i+1])
	}
	return p, at, nil
}
