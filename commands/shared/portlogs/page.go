package portlogs

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"diagsh/diag/ports/usage"
	"diagsh/internal/menu"
)

// About says of a page of a report where it is from.
type About struct {
	Host, Product, User string
	Made                time.Time
	Command             string // as it can be typed
}

// pageStyle is all that the page needs: no script, and nothing from elsewhere.
const pageStyle = `<style>
body { font: 15px/1.45 system-ui, "Segoe UI", sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; color: #1b1f24; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse } th, td { text-align: left; padding: .3em 1.2em .3em 0; border-bottom: 1px solid #d5d9de; vertical-align: top; overflow-wrap: anywhere }
th { font-weight: 600 } .dim { color: #59636e } div.wide { overflow-x: auto } nav a { margin-right: 1em } a { color: #0a58ca }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117 } th, td { border-color: #30363d } .dim { color: #9198a1 } a { color: #58a6ff } }
</style>
`

// escape is a text in a page. What could hide or turn text is written out.
func escape(text string) string {
	return html.EscapeString(menu.Clean(strings.ReplaceAll(text, "\u00a0", " ")))
}

// Page writes a report as a page that stands for itself.
func Page(w io.Writer, about About, r *usage.Report) error {
	var b strings.Builder
	title := escape("Port log of " + about.Host)
	b.WriteString(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>` + title + "</title>\n" + pageStyle + "</head>\n<body>\n<h1>" + title + "</h1>\n")
	fmt.Fprintf(&b, "<p class=\"dim\">Made %s by %s, %s: <code>%s</code></p>\n", menu.UTC(about.Made), escape(about.User), escape(about.Product), escape(about.Command))
	for _, sentence := range summary(r) {
		fmt.Fprintf(&b, "<p>%s</p>\n", escape(sentence))
	}
	if !nothing(r) {
		writeSections(&b, sections(r))
	}
	b.WriteString("</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSections(b *strings.Builder, list []section) {
	b.WriteString("<nav>")
	for i, s := range list {
		if len(s.Rows) > 0 || s.None != "" {
			fmt.Fprintf(b, "<a href=\"#part%d\">%s</a>\n", i+1, escape(s.Title))
		}
	}
	b.WriteString("</nav>\n")
	for i, s := range list {
		if len(s.Rows) == 0 && s.None == "" {
			continue
		}
		fmt.Fprintf(b, "<h2 id=\"part%d\">%s</h2>\n", i+1, escape(s.Title))
		if len(s.Rows) == 0 {
			fmt.Fprintf(b, "<p>%s</p>\n", escape(s.None))
			continue
		}
		b.WriteString("<div class=\"wide\"><table>\n<tr>")
		for _, name := range s.Head {
			fmt.Fprintf(b, "<th scope=\"col\">%s</th>", escape(heading(name)))
		}
		b.WriteString("</tr>\n")
		for _, row := range s.Rows {
			b.WriteString("<tr>")
			for _, cell := range row {
				fmt.Fprintf(b, "<td>%s</td>", escape(cell))
			}
			b.WriteString("</tr>\n")
		}
		b.WriteString("</table></div>\n")
		if s.More > 0 {
			fmt.Fprintf(b, "<p class=\"dim\">and %d more</p>\n", s.More)
		}
		if s.Note != "" {
			fmt.Fprintf(b, "<p class=\"dim\">%s</p>\n", escape(s.Note))
		}
	}
}

// heading is a heading of a terminal's table in the letters of a page.
func heading(text string) string {
	for _, kept := range []string{"PID", "UID"} {
		if text == kept {
			return text
		}
	}
	if before, zone, ok := strings.Cut(text, " (UTC)"); ok {
		return heading(before) + " (UTC)" + zone
	}
	return text[:1] + strings.ToLower(text[1:])
}
