package reports

import (
	"bytes"
	"fmt"
	"html"
	"net/url"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// The pages of a report are read from a disk, by a browser: no scripts, nothing from elsewhere,
// every text escaped.

const pageStyle = `<style>
body { font: 15px/1.45 system-ui, "Segoe UI", sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #1b1f24; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3em .8em .3em 0; border-bottom: 1px solid #d5d9de; vertical-align: top }
th { font-weight: 600 } td.n { text-align: right; white-space: nowrap } .bad { color: #a3200d } .dim { color: #59636e }
pre { font: 13px/1.4 ui-monospace, Consolas, monospace; background: #f5f6f8; padding: 1em; overflow-x: auto }
p.text { white-space: pre-wrap } a { color: #0a58ca }
</style>
`

// head begins a page.
func head(title string) string {
	return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>` + escape(title) + "</title>\n" + pageStyle + "</head>\n<body>\n"
}

// escape is a text in a page. What no page may hold, or what could hide or turn text, is written
// out.
func escape(text string) string { return html.EscapeString(menu.Clean(text)) }

// escapeText is escape for text of several lines.
func escapeText(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		cells := bytes.Split(line, []byte("\t"))
		for j, cell := range cells {
			cells[j] = []byte(escape(string(cell)))
		}
		lines[i] = bytes.Join(cells, []byte("\t"))
	}
	return bytes.Join(lines, []byte("\n"))
}

func pageBegin(r access.Report, p access.ReportPart) string {
	return head(p.Title) + fmt.Sprintf("<p><a href=\"../index.html\">%s</a></p>\n<h1>%s</h1>\n<p class=\"dim\">%s</p>\n<pre>\n",
		escape(strings.TrimSuffix(r.Name, Suffix)), escape(p.Title), escape(commandLine(p)))
}

func pageEnd(c access.Content) string {
	if c.Reason == "" {
		return "</pre>\n</body>\n</html>\n"
	}
	return "</pre>\n<p class=\"bad\">" + escape(c.Reason) + "</p>\n</body>\n</html>\n"
}

// indexPage is the page to begin with.
func indexPage(r access.Report, product, host string) string {
	var b strings.Builder
	b.WriteString(head("Report of " + host))
	fmt.Fprintf(&b, "<h1>Report of %s</h1>\n<table>\n", escape(host))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "<tr><th>%s</th><td>%s</td></tr>\n", name, escape(text))
		}
	}
	row("Case", r.Case)
	row("Contact", r.Contact)
	row("Made", menu.UTC(r.Time))
	row("By", r.Owner)
	row("Product", product)
	b.WriteString("</table>\n")
	if r.Description != "" {
		fmt.Fprintf(&b, "<h2>Description</h2>\n<p class=\"text\">%s</p>\n", escapeText([]byte(r.Description)))
	}
	b.WriteString("<h2>Contents</h2>\n<table>\n<tr><th></th><th>Command</th><th>Records</th><th></th></tr>\n")
	for _, c := range r.Contents {
		title := escape(c.Title)
		if c.Page != "" {
			title = link(c.Page, title)
		}
		data := ""
		if c.Data != "" {
			data = link(c.Data, "JSON")
		}
		if c.Reason != "" {
			data += ` <span class="bad">` + escape(c.Reason) + "</span>"
		}
		fmt.Fprintf(&b, "<tr><td>%s</td><td class=\"dim\">%s</td><td class=\"n\">%d</td><td>%s</td></tr>\n", title, escape(c.Command), c.Records, data)
	}
	b.WriteString("</table>\n")
	if len(r.Files) > 0 {
		b.WriteString("<h2>Captures</h2>\n<table>\n<tr><th>File</th><th>Bytes</th><th>Written</th><th></th></tr>\n")
		for _, f := range r.Files {
			what := "packet headers only"
			if f.Payload {
				what = "may hold packet contents"
			}
			fmt.Fprintf(&b, "<tr><td>%s</td><td class=\"n\">%d</td><td>%s</td><td class=\"dim\">%s</td></tr>\n", link("captures/"+f.Name, escape(f.Name)), f.Bytes,
				menu.UTC(f.Modified), what)
		}
		b.WriteString("</table>\n")
	}
	fmt.Fprintf(&b, "<p>%s has the SHA-256 of each file.</p>\n</body>\n</html>\n", link("manifest.json", "manifest.json"))
	return b.String()
}

// link is a link to a file of the report; the text is escaped already.
func link(path, text string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return fmt.Sprintf(`<a href="%s">%s</a>`, html.EscapeString(strings.Join(parts, "/")), text)
}
