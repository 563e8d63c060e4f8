package directories

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

// A radiusServer asks servers of RADIUS, the first one that answers. It is a client of our own: each
// answer must have a Message-Authenticator, which others do not ask for.
type radiusServer struct {
	c        settings.RADIUS
	hostname func() string
}

func (r *radiusServer) method() string { return access.RADIUS }

// renew cannot be: a server of RADIUS says something of a user only with the password.
func (r *radiusServer) renew(_ context.Context, p access.Person, _ question) (access.Person, error) {
	return p, access.ErrNoRecheck
}

func (r *radiusServer) ask(ctx context.Context, q question) (access.Person, error) {
	switch {
	case r.c.Off != "":
		return access.Person{}, refused(unanswered, "%s", r.c.Off)
	case q.password == "":
		return access.Person{}, refused(wrong, "the password is empty")
	}
	var silent []string
	for _, server := range r.c.Servers {
		answer, err := r.askOne(ctx, server, q)
		if err == nil {
			return r.personOf(q, server, answer)
		}
		silent = append(silent, server+": "+inWords(err))
		q.note("%s: %s", server, inWords(err))
	}
	return access.Person{}, refused(unanswered, "no server can be used: %s", strings.Join(silent, "; "))
}

// askOne asks one server, again after each timeout. A request that is repeated is the same packet, so
// that the server knows it (RFC 2865 section 2.5).
func (r *radiusServer) askOne(ctx context.Context, server string, q question) (*radiusPacket, error) {
	number := func(kind byte, n uint32) attribute { return attribute{kind, binary.BigEndian.AppendUint32(nil, n)} }
	request, err := newAccessRequest(q.user, string(q.password), string(r.c.Secret),
		attribute{attrNASIdentifier, []byte(cmp.Or(r.c.Identifier, r.hostname()))},
		attribute{attrCallingStationID, []byte(q.source)},
		number(attrServiceType, 1), // Login
		number(attrNASPortType, 5)) // Virtual
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	packet, fault := request.encode(string(r.c.Secret)), error(nil)
	for range r.c.Tries {
		conn.SetDeadline(time.Now().Add(r.c.Timeout))
		if _, err := conn.Write(packet); err != nil {
			return nil, err
		}
		answer, err := r.read(conn, request)
		if err == nil || errors.Is(err, errUnprotected) {
			return answer, err
		}
		fault = err
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fault
}

// read reads the answer to a request. It waits on after packets that anybody can have sent, until the
// deadline, and then says what was wrong with the last of them.
func (r *radiusServer) read(conn net.Conn, request *radiusPacket) (*radiusPacket, error) {
	buffer := make([]byte, maxRADIUSPacket+1)
	var fault error
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, cmp.Or(fault, err)
		}
		answer, err := parseAnswer(buffer[:n], request, string(r.c.Secret))
		if err == nil || errors.Is(err, errUnprotected) {
			return answer, err
		}
		fault = err
	}
}

// personOf returns who an answer says that the user is.
func (r *radiusServer) personOf(q question, server string, answer *radiusPacket) (access.Person, error) {
	said := ""
	if words := strings.Join(answer.values(attrReplyMessage), " "); words != "" {
		said = ": " + words
	}
	switch answer.code {
	case accessAccept:
		q.note("%s: Access-Accept%s", server, said)
	case accessReject:
		q.note("%s: Access-Reject%s", server, said)
		return access.Person{}, refused(wrong, "%s rejects the user or the password%s", server, said)
	case accessChallenge:
		return access.Person{}, refused(wrong, "%s asks for more than a password, which is not supported%s", server, said)
	default:
		return access.Person{}, refused(unanswered, "%s answers with the code %d", server, answer.code)
	}
	kind := byte(attrFilterID)
	if r.c.Attribute == "Class" {
		kind = attrClass
	}
	groups := answer.values(kind)
	q.note("groups by %s: %s", r.c.Attribute, cmp.Or(strings.Join(groups, "; "), "none"))
	role, with, err := rolesOf(r.c.Roles, groups, false)
	p := access.Person{User: q.user, Role: role, Groups: with, Method: access.RADIUS, Server: server, ID: q.user}
	for _, a := range answer.attributes {
		if a.kind == attrSessionTimeout && len(a.value) == 4 {
			lasts := time.Duration(binary.BigEndian.Uint32(a.value)) * time.Second
			p.Until = time.Now().Add(lasts)
			q.note("the login is to end after %s", menu.FormatDuration(lasts))
		}
	}
	return p, err
}
