package directories

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/signin"
)

func radiusOf(r *signin.RADIUS) settings.RADIUS {
	return settings.RADIUS{Server: settings.Server{Timeout: 2 * time.Second, Secret: menu.Secret(r.Secret),
		Roles: settings.Roles{"netops": menu.Operator}}, Servers: []string{r.Address}, Attribute: "Filter-Id", Tries: 2}
}

// A real server of RADIUS.
func TestRADIUS(t *testing.T) {
	server := signin.NewRADIUS(t, true)
	d := open(t, settings.SignIn{RADIUS: radiusOf(server)})
	p := asked(t, d, "jane", "jane-secret", outcome{role: menu.Operator})
	if p.Method != access.RADIUS || p.Server != server.Address || len(p.Groups) != 1 || !p.Until.IsZero() {
		t.Errorf("jane is %+v", p)
	}
	if p := asked(t, d, "brief", "brief-secret", outcome{role: menu.Operator}); time.Until(p.Until) > 2*time.Second || time.Until(p.Until) < 0 {
		t.Errorf("brief may stay until %v", p.Until)
	}
	asked(t, d, "jane", "wrong", outcome{reason: "rejects the user or the password"})
	asked(t, d, "jane", "", outcome{reason: "the password is empty"})
	asked(t, d, "otto", "otto-secret", outcome{reason: "none of the groups has a role: cooks", noRole: true})
	asked(t, d, "jane", strings.Repeat("x", 129), outcome{reason: "too long for RADIUS", unanswered: true})
	if _, err := d.RenewPerson(t.Context(), p); !errors.Is(err, access.ErrNoRecheck) {
		t.Errorf("asked again: %v", err)
	}
	got, err := d.TestSignIn(t.Context(), access.RADIUS, "jane", "jane-secret")
	if err != nil || got.Role != menu.Operator || !strings.Contains(strings.Join(got.Steps, "\n"), "Access-Accept: Hello jane") {
		t.Errorf("a test says %+v, %v", got, err)
	}

	other := radiusOf(server)
	other.Secret, other.Timeout = "another", 200*time.Millisecond
	asked(t, open(t, settings.SignIn{RADIUS: other}), "jane", "jane-secret", outcome{reason: "no server can be used", unanswered: true})
	second := radiusOf(server)
	second.Servers = []string{"127.0.0.1:9", server.Address}
	asked(t, open(t, settings.SignIn{RADIUS: second}), "jane", "jane-secret", outcome{role: menu.Operator})
}

// An answer without Message-Authenticator is not believed, though its authenticator is right.
func TestRADIUSWithoutMessageAuthenticator(t *testing.T) {
	d := open(t, settings.SignIn{RADIUS: radiusOf(signin.NewRADIUS(t, false))})
	asked(t, d, "jane", "jane-secret", outcome{reason: "has no Message-Authenticator", unanswered: true})
}

// A liar on the way who does not know the secret changes nothing: the right answer counts, whatever
// comes before.
func TestForgedRADIUS(t *testing.T) {
	const secret = "shared"
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	forged := make(chan func(request []byte) [][]byte, 1)
	go func() {
		buffer := make([]byte, maxRADIUSPacket)
		for {
			n, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			answer := <-forged
			for _, packet := range answer(buffer[:n]) {
				c.WriteTo(packet, from)
			}
		}
	}()
	accept := func(request []byte, secret string, id byte, code byte) []byte {
		return answerTo(request, secret, id, code, attribute{attrFilterID, []byte("netops")})
	}
	s := settings.RADIUS{Server: settings.Server{Timeout: 300 * time.Millisecond, Secret: secret, Roles: settings.Roles{"netops": menu.Operator}},
		Servers: []string{c.LocalAddr().String()}, Attribute: "Filter-Id", Tries: 1}
	d := open(t, settings.SignIn{RADIUS: s})
	for what, one := range map[string]struct {
		answers func(request []byte) [][]byte
		want    outcome
	}{
		"by another secret": {func(q []byte) [][]byte { return [][]byte{accept(q, "guess", q[1], accessAccept)} },
			outcome{reason: "not by the secret", unanswered: true}},
		"to another request": {func(q []byte) [][]byte { return [][]byte{accept(q, secret, q[1]+1, accessAccept)} },
			outcome{reason: "another request", unanswered: true}},
		"changed on the way": {func(q []byte) [][]byte {
			packet := accept(q, secret, q[1], accessReject)
			packet[0] = accessAccept
			return [][]byte{packet}
		}, outcome{reason: "not by the secret", unanswered: true}},
		"rubbish, then the answer": {func(q []byte) [][]byte {
			return [][]byte{{}, []byte("x"), make([]byte, 4096), accept(q, "guess", q[1], accessAccept), accept(q, secret, q[1], accessAccept)}
		}, outcome{role: menu.Operator}},
		"a challenge": {func(q []byte) [][]byte { return [][]byte{accept(q, secret, q[1], accessChallenge)} },
			outcome{reason: "asks for more than a password"}},
		"a code of another kind": {func(q []byte) [][]byte { return [][]byte{accept(q, secret, q[1], 99)} },
			outcome{reason: "answers with the code 99", unanswered: true}},
	} {
		t.Log(what)
		forged <- one.answers
		asked(t, d, "jane", "jane-secret", one.want)
	}
}

// answerTo makes an answer to a request, as a server with the secret does.
func answerTo(request []byte, secret string, id, code byte, attributes ...attribute) []byte {
	p := &radiusPacket{code: code, id: id, authenticator: [16]byte(request[4:20]),
		attributes: append([]attribute{{attrMessageAuthenticator, make([]byte, 16)}}, attributes...)}
	b := p.encode(secret)
	sum := md5.Sum(append(append([]byte{}, b...), secret...))
	copy(b[4:], sum[:])
	return b
}

// A packet that is taken apart and put together is the same, and no packet breaks the parser.
func FuzzRADIUS(f *testing.F) {
	request, err := newAccessRequest("jane", "jane-secret", "shared", attribute{attrNASIdentifier, []byte("mx1")})
	if err != nil {
		f.Fatal(err)
	}
	sent := request.encode("shared")
	f.Add(sent)
	f.Add(answerTo(sent, "shared", sent[1], accessAccept, attribute{attrFilterID, []byte("netops")}))
	f.Add(sent[:radiusHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseAnswer(b, request, "shared")
		if err == nil && p.id != request.id {
			t.Error("an answer to another request is taken")
		}
		q, at, err := parseRADIUS(b)
		if err != nil {
			return
		}
		if at > 0 && at+16 > len(b) {
			t.Errorf("the Message-Authenticator is at %d of %d", at, len(b))
		}
		length := radiusHeader
		for _, a := range q.attributes {
			length += 2 + len(a.value)
		}
		if length != int(binary.BigEndian.Uint16(b[2:])) {
			t.Errorf("the attributes have %d bytes of %d", length, binary.BigEndian.Uint16(b[2:]))
		}
	})
}

// A password is hidden as RFC 2865 section 7.1 shows it.
func TestHiddenPassword(t *testing.T) {
	authenticator := []byte("\x0f\x40\x3f\x94\x73\x97\x80\x57\xbd\x83\xd5\xcb\x98\xf4\x22\x7a")
	const want = "\x0d\xbe\x70\x8d\x93\xd4\x13\xce\x31\x96\xe4\x3f\x78\x2a\x0a\xee"
	if got := string(hide("arctangent", "xyzzy5461", authenticator)); got != want {
		t.Errorf("it is %x; want %x", got, want)
	}
}
