package smtp

import (
	"bufio"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

func talking(text string) *dialogue {
	d := &dialogue{limit: &io.LimitedReader{R: strings.NewReader(text)}}
	d.read = bufio.NewReader(d.limit)
	return d
}

func TestReply(t *testing.T) {
	for text, want := range map[string]struct {
		code  int
		lines int
		err   error
	}{
		"220 hello\r\n":                         {220, 1, nil},
		"250-a\r\n250-b\r\n250 c\r\n":           {250, 3, nil},
		"250\r\n":                               {250, 1, nil},
		"250 a\n":                               {250, 1, nil},
		"250-a\r\n251 b\r\n":                    {0, 2, ErrProtocol},
		"":                                      {0, 0, ErrClosed},
		"220 hel":                               {0, 1, ErrClosed}, // half a line is no line
		"220":                                   {0, 1, ErrClosed},
		"250-a\r\n250 b":                        {0, 2, ErrClosed},
		"250 a\rb\r\n":                          {250, 1, nil},
		"250-a\r\n":                             {0, 1, ErrClosed},
		"HTTP/1.1 400\r\n":                      {0, 1, ErrProtocol},
		"999 x\r\n":                             {0, 1, ErrProtocol},
		"220x\r\n":                              {0, 1, ErrProtocol},
		"22\r\n":                                {0, 1, ErrProtocol},
		"220 " + strings.Repeat("a", maxReply):  {0, 0, ErrTooLong},
		strings.Repeat("250-a\r\n", maxLines+1): {0, maxLines, ErrTooLong},
	} {
		code, lines, err := talking(text).reply()
		if code != want.code || len(lines) != want.lines || err != want.err {
			t.Errorf("%.40q: %d, %d lines, %v; want %+v", text, code, len(lines), err, want)
		}
	}
}

// FuzzReply: no input needs more memory than a reply may have.
func FuzzReply(f *testing.F) {
	f.Add("220 hello\r\n")
	f.Add("250-a\r\n250 b\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		code, lines, err := talking(text).reply()
		if n := len(strings.Join(lines, "")); n > maxReply || err == nil && (code < 200 || code > 599) {
			t.Errorf("%d bytes, code %d", n, code)
		}
	})
}

// TestMessage: any text is sent as one message.
func TestMessage(t *testing.T) {
	m := &Message{Subject: "Grüße\r\nBcc: all@d.example", Body: "one\n.\nQUIT\n..two", ID: "x@y", Date: time.Unix(0, 0)}
	text := m.text("a@b.example", "c@d.example", form{})
	body := textproto.NewReader(bufio.NewReader(strings.NewReader(text)))
	got, err := body.ReadDotBytes()
	if err != nil || !strings.HasSuffix(string(got), "\n\none\n.\nQUIT\n..two\n") {
		t.Errorf("%v: %q", err, got)
	}
	if _, err := body.ReadLine(); err != io.EOF {
		t.Errorf("something stands behind the message: %q", text)
	}
	if strings.Contains(text, "\nBcc") {
		t.Errorf("the subject makes a header: %q", text)
	}
}

// TestMessageForms: line ends are CR LF pairs, and text beyond ASCII is sent in a form that the
// server accepts.
func TestMessageForms(t *testing.T) {
	for _, c := range []struct {
		name, body string
		hail       []string
		parameters string
		encoding   string
		contains   string
	}{
		{"plain", "hello", nil, "", "7bit", "\r\n\r\nhello\r\n.\r\n"},
		{"line ends of all kinds", "a\rb\r\nc\nd\r\n.\r.\n\re", nil, "", "7bit",
			"\r\n\r\na\r\nb\r\nc\r\nd\r\n..\r\n..\r\n\r\ne\r\n.\r\n"},
		{"umlauts to a server that takes them", "grün", []string{"250-mx", "250 8BITMIME"}, " BODY=8BITMIME", "8bit",
			"grün\r\n"},
		{"umlauts to one that does not", "grün", []string{"250-mx", "250 SIZE"}, "", "quoted-printable",
			"gr=C3=BCn\r\n"},
		{"a control character", "a\x00b\x1b", []string{"250-mx", "250 8BITMIME"}, "", "quoted-printable",
			"a=00b=1B\r\n"},
		{"a long line", strings.Repeat("x", 2000), nil, "", "quoted-printable", "xxx=\r\nxxx"},
	} {
		d := &dialogue{options: Options{Message: &Message{Body: c.body}}, hail: c.hail}
		f := d.form("a@b.example", "c@d.example")
		text := d.options.Message.text("a@b.example", "c@d.example", f)
		if f.parameters() != c.parameters || !strings.Contains(text, "Encoding: "+c.encoding+"\r\n") ||
			!strings.Contains(text, c.contains) {
			t.Errorf("%s: %q, %q", c.name, f.parameters(), text)
		}
		if rest := strings.ReplaceAll(text, "\r\n", ""); strings.ContainsAny(rest, "\r\n") {
			t.Errorf("%s: CR or LF alone in %q", c.name, text)
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > maxLine {
				t.Errorf("%s: a line of %d bytes", c.name, len(line))
			}
		}
	}
}

func TestASCIIAddress(t *testing.T) {
	for address, want := range map[string]string{
		"a@b.example": "a@b.example", "": "", "ü@münchen.test": "ü@xn--mnchen-3ya.test",
		"a@MÜNCHEN.test": "a@xn--mnchen-3ya.test", "a@[192.0.2.1]": "a@[192.0.2.1]",
		"a@[IPv6:2001:db8::1]": "a@[IPv6:2001:db8::1]", `"a@b"@c.example`: `"a@b"@c.example`,
	} {
		if got, err := ASCIIAddress(address); err != nil || got != want {
			t.Errorf("%s is %q, %v", address, got, err)
		}
	}
	for _, wrong := range []string{"a b@c.example", "a@b>", "a\r\nQUIT@b", "a@b\u0085c", "\xff@b", "a@\u200b.test"} {
		if got, err := ASCIIAddress(wrong); err == nil {
			t.Errorf("%q is %q", wrong, got)
		}
	}
}
