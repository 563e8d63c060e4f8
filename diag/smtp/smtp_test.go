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
	d.text = textproto.NewReader(d.read)
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
		"220 hel":                               {220, 1, nil},
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

// What a server sends takes no more memory than a reply may have.
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

// A message is one message, whatever is in it.
func TestMessage(t *testing.T) {
	o := Options{From: "a@b.example", To: "c@d.example", Message: &Message{Subject: "Grüße\r\nBcc: all@d.example", Body: "one\n.\nQUIT\n..two", ID: "x@y", Date: time.Unix(0, 0)}}
	text := o.message()
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
