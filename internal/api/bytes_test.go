package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

type bytesArgs struct {
	Blocks int    `arg:"blocks,positional:1" default:"3" help:"How many blocks of 64 KiB."`
	Fails  string `arg:"fails" choices:"before|behind" help:"When it fails."`
}

type peekArgs struct {
	Name menu.Packets `arg:"name,positional:1" help:"What to look into."`
}

// block is nothing that JSON or UTF-8 could carry as it is.
var block = bytes.Repeat([]byte{0, 0xff, '\n', '"'}, 16<<10)

func writeBytes(_ context.Context, _ menu.Caller, a bytesArgs, out *menu.Out[struct{}]) error {
	if a.Fails == "before" {
		return menu.Errorf(menu.State, "Not now")
	}
	for range a.Blocks {
		if _, err := out.Write(block); err != nil {
			return err
		}
	}
	out.Printf("%d blocks.\n", a.Blocks)
	if a.Fails == "behind" {
		return menu.Errorf(menu.Failed, "It broke")
	}
	return nil
}

func TestBytesComeAsTheyAre(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	c := dial(t, path)
	for _, test := range []struct {
		fails string
		bytes int
		text  string
		kind  menu.Code
	}{
		{"", 3 * len(block), "3 blocks.\n", 0},
		{"before", 0, "", menu.State},
		{"behind", 3 * len(block), "3 blocks.\n", menu.Failed},
	} {
		args := menu.Arguments{}
		if test.fails != "" {
			args["fails"] = test.fails
		}
		var got bytes.Buffer
		var text string
		failure, err := c.Run(t.Context(), t.Context(), []string{"bytes"}, args, menu.TextForm, func(f Frame) error {
			got.Write(f.Data)
			text += string(f.Text)
			return nil
		})
		var kind menu.Code
		if failure != nil {
			kind = failure.Code
		}
		if err != nil || kind != test.kind || text != test.text || got.Len() != test.bytes ||
			!bytes.Equal(got.Bytes(), bytes.Repeat(block, test.bytes/len(block))) {
			t.Errorf("fails %q: %d bytes, %q, %v, %v", test.fails, got.Len(), text, failure, err)
		}
	}
	// A program without our frames gets the bytes alone, and of a failure behind them a broken
	// connection.
	if status, body := curl(t, path, "POST", "run/bytes", `{"blocks":1}`); status != 200 || body != string(block) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	if status, body := curl(t, path, "POST", "run/bytes", `{"fails":"behind"}`); status != 200 ||
		!strings.HasPrefix(body, "broken off: ") {
		t.Errorf("%d, %.20q", status, body)
	}
	if status, body := curl(t, path, "POST", "run/bytes", `{"fails":"before"}`); status != 409 ||
		!strings.Contains(body, "Not now") {
		t.Errorf("%d, %.80q", status, body)
	}
}

// What an argument names is decided before the command begins.
func TestPacketsAreForWhoMayReadThem(t *testing.T) {
	for _, c := range []struct {
		user, name string
		status     int
	}{
		{"op", "a.pcap", 200},
		{"sup", "a.pcap", 403},
		{"sup", "b.pcap", 200}, {"sup", "", 200},
	} {
		d := newFake(t)
		d.roles["sup"] = menu.Support
		d.local = c.user
		_, path := serve(t, d)
		if status, body := curl(t, path, "POST", "run/peek", `{"name":"`+c.name+`"}`); status != c.status {
			t.Errorf("%s, %q: %d %s", c.user, c.name, status, body)
		}
		if c.status == 403 && d.last().Act != "refused" {
			t.Errorf("%s, %q: the audit line is %+v", c.user, c.name, d.last())
		}
	}
}

// Bytes as the body of the answer, over the socket and HTTP/2, and as frames of JSON without
// either.
func BenchmarkBytes(b *testing.B) {
	b.Run("JSON and base64", func(b *testing.B) {
		b.SetBytes(int64(len(block)))
		r, w := io.Pipe()
		go func() {
			e := json.NewEncoder(w)
			for {
				if e.Encode(struct{ Data string }{base64.StdEncoding.EncodeToString(block)}) != nil {
					return
				}
			}
		}()
		decoder := json.NewDecoder(r)
		for b.Loop() {
			var f struct{ Data []byte }
			if err := decoder.Decode(&f); err != nil || len(f.Data) != len(block) {
				b.Fatal(err)
			}
		}
		r.Close()
	})
	b.Run("body", func(b *testing.B) {
		b.SetBytes(int64(len(block)))
		d := newFake(b)
		_, path := serve(b, d)
		c := dial(b, path)
		got := 0
		args := menu.Arguments{"blocks": strconv.Itoa(b.N)}
		failure, err := c.Run(b.Context(), b.Context(), []string{"bytes"}, args, menu.TextForm, func(f Frame) error {
			got += len(f.Data)
			return nil
		})
		if failure != nil || err != nil || got != b.N*len(block) {
			b.Fatal(got, failure, err)
		}
	})
}
