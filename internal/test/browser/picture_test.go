package browser_test

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"

	"diagsh/internal/test/browser"
)

var update = flag.Bool("update", false, "draw the picture of the page for the documents")

// The picture that the README shows is drawn from the page as it is, and small enough for a slow
// link.
func TestPicture(t *testing.T) {
	t.Parallel()
	const file, most = "../../../docs/page.png", 150 << 10
	a, b := bench(t)
	c := newTape(t, a, "mx1-mail-20260301-101500.pcap")
	c.open()
	for n, line := range []string{"220 mx2.example.org ESMTP", "EHLO mx1.example.org", "250-mx2.example.org", "MAIL FROM:<ann@example.org>", "250 2.1.0 Ok",
		"RCPT TO:<bob@example.org>", "250 2.1.5 Ok", "DATA", "354 End data with <CR><LF>.<CR><LF>", "Subject: Minutes", "250 2.0.0 Ok: queued", "QUIT", "221 2.0.0 Bye"} {
		c.say(1-n%2, line+"\r\n")
	}
	p := b.SignedIn(a, "admin", browser.Look{Height: 1180})
	p.Go("#/captures/mx1-mail-20260301-101500.pcap/packets/7")
	p.WaitText(".packet-detail h2", "Packet 7")
	p.Wait("the row", "document.querySelector('.grid-row.selected')")
	browser.Eval[bool](p, "[...document.querySelectorAll('.tree-item.level-2')].find((e) => e.innerText.includes('192.0.2.1')).click() || true")
	p.Wait("the bytes", "document.querySelector('.hex-digits mark')")
	browser.Eval[int](p, "(scrollTo(0, 0), 0)")
	drawn := p.Picture()
	if *update {
		if err := os.WriteFile(file, fewColors(t, drawn), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; draw it with -update", err)
	}
	now, err := png.DecodeConfig(bytes.NewReader(drawn))
	was, wrong := png.DecodeConfig(bytes.NewReader(kept))
	if err != nil || wrong != nil || fmt.Sprint(now.Width, now.Height) != fmt.Sprint(was.Width, was.Height) {
		t.Errorf("the picture is %dx%d and the page %dx%d; draw it with -update (%v, %v)", was.Width, was.Height, now.Width, now.Height, err, wrong)
	}
	if len(kept) > most {
		t.Errorf("the picture has %d bytes, more than %d", len(kept), most)
	}
}

// fewColors returns a picture in the 256 colours that most of its points have, which makes it small.
func fewColors(t *testing.T, drawn []byte) []byte {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(drawn))
	if err != nil {
		t.Fatal(err)
	}
	points := map[color.RGBA]int{}
	bounds := whole.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			points[color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA)]++
		}
	}
	often := slices.SortedFunc(maps.Keys(points), func(a, b color.RGBA) int { return points[b] - points[a] })
	var palette color.Palette
	for _, c := range often[:min(len(often), 256)] {
		palette = append(palette, c)
	}
	few := image.NewPaletted(bounds, palette)
	draw.Draw(few, bounds, whole, bounds.Min, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, few); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
