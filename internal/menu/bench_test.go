package menu_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/internal/menu"
)

// A bench is a small tree with one of everything, and what its command was run with.
type bench struct {
	tree *menu.Menu
	got  pingArgs
	ran  int
}

type pingArgs struct {
	Host string `arg:"host,positional:1,required" ask:"Host to ping" help:"Name or address."`
	amount
	Wait     *time.Duration `arg:"wait" help:"How long."`
	Via      []string       `arg:"interface" ask:"Interfaces" help:"From where."`
	Family   string         `arg:"family" choices:"ip4|ip6" help:"Which protocol."`
	Password menu.Secret    `arg:"password" help:"For nothing."`
	Names    bool           `arg:"names" help:"With names."`
	Sure     menu.Confirm   `arg:"confirm" ask:"Ping?" help:"Say yes."`
}

// An amount is parameters that several commands could share.
type amount struct {
	Count int        `arg:"count" default:"4" min:"1" max:"10" help:"How many."`
	Size  *menu.Size `arg:"size,unlimited" unit:"MB" ask:"Size" default:"2" help:"How large."`
}

type echo struct {
	Host string `json:"host"`
	N    int    `json:"n"`
}

func newBench() *bench {
	b := &bench{}
	ping := menu.Decl[pingArgs, echo]{
		Name: "ping", Aliases: []string{"echo"}, Help: "Ping a host.", Role: menu.Operator,
		Ask: func(_ context.Context, _ menu.Caller, a pingArgs, q *menu.Question) error {
			switch q.Name {
			case "interface":
				q.Choices = []menu.Choice{{Value: "eth0", Label: "eth0 (up)"}, {Value: "eth1"}, {Value: "ALL"}}
				q.Skip = a.Host == "localhost"
			case "confirm":
				q.Text = "Ping " + a.Host + "?"
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a pingArgs, name string) error {
			if name == "host" && strings.Contains(a.Host, "!") {
				return menu.BadArgument("host", "%q is no host", a.Host)
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a pingArgs, out *menu.Out[echo]) error {
			b.got, b.ran = a, b.ran+1
			for n := range a.Count {
				if err := out.Record(echo{a.Host, n}); err != nil {
					return err
				}
			}
			return nil
		},
		Text: func(w io.Writer, e echo) { fmt.Fprintf(w, "%s %d\n", e.Host, e.N) },
	}.Command()
	list := menu.Decl[struct{}, echo]{
		Name: "list", Help: "List.", Role: menu.ReadOnly,
		Run:       func(context.Context, menu.Caller, struct{}, *menu.Out[echo]) error { return nil },
		TextTable: func(w io.Writer, rs []echo) { fmt.Fprintf(w, "%d rows\n", len(rs)) },
	}.Command()
	closed := menu.Decl[struct{}, echo]{
		Name: "closed", Help: "Nobody said for whom.",
		Run:  func(context.Context, menu.Caller, struct{}, *menu.Out[echo]) error { return nil },
		Text: func(io.Writer, echo) {},
	}.Command()
	b.tree = &menu.Menu{Items: []menu.Item{
		&menu.Menu{Name: "network", Help: "Network.", Items: []menu.Item{ping, list}},
		&menu.Menu{Name: "netflow", Help: "Flows.", Items: []menu.Item{closed}},
	}}
	return b
}

func (b *bench) ping() *menu.Command { return b.tree.Find([]string{"network", "ping"}).(*menu.Command) }

// A page is a Sink that keeps its input.
type page struct {
	form menu.Form
	text bytes.Buffer
	rows []any
	kind menu.Shape
}

func (p *page) Form() menu.Form     { return p.form }
func (p *page) Text(b []byte) error { p.text.Write(b); return nil }
func (p *page) Data(b []byte) error { return p.Text(b) }
func (p *page) Progress(string)     {}
func (p *page) View(bool)           {}
func (p *page) Record(v any, s menu.Shape) error {
	p.rows, p.kind = append(p.rows, v), s
	return nil
}
