package target

import (
	"context"
	"slices"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type editArgs struct {
	Given   []string    `arg:"*"`
	Name    string      `arg:"name,positional:1,required" ask:"Target to change" help:"Name of the target."`
	URL     string      `arg:"url,bound" label:"URL" help:"Another URL, as target new takes it."`
	HostKey string      `arg:"hostkey" label:"Host key" help:"Another fingerprint of the only key that the host may have; NONE for HTTPS to trust authorities."`
	Secret  menu.Secret `arg:"secret" ask:"New password or token; Enter keeps the present one" help:"Another password or token."`
	Auto    *bool       `arg:"auto" help:"Whether every file of a capture is copied there as it closes."`
	wayArgs
	Manifest *bool `arg:"manifest" help:"Whether a list of the files of a capture is copied there after them."`
}

func editCommand(s Service) *menu.Command {
	return menu.Decl[editArgs, capture.Target]{
		Name: "edit",
		Help: "Change a target.",
		Details: "What is not given stays. Copies that wait go on by it at once, those under way begin a new try if the way " +
			"there changes. The secret is given again with another host, hostkey, authorities, proxy, style or tls, and the password of a proxy " +
			"with another proxy. Files that are queued already keep their place.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "PATCH", Path: "targets/{name}"}},
		Shape:     menu.Object,
		Hidden:    func(context.Context) bool { return len(s.Targets()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ editArgs, q *menu.Question) error {
			if q.Name == "name" {
				Choose(s, q)
			}
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a editArgs, out *menu.Out[capture.Target]) error {
			t, err := s.ChangeTarget(ctx, caller, a.Name, a.change())
			if e := menu.AsError(err); e != nil && e.Argument == "target" {
				return menu.Blame("name", err)
			}
			if err != nil {
				return err
			}
			if err := out.Record(t); err != nil {
				return err
			}
			return sayKey(s, []capture.Target{t}, out)
		},
		Text: captures.Target,
	}.Command()
}

// change returns what is given.
func (a editArgs) change() (c capture.TargetChange) {
	given := func(name string) bool { return slices.Contains(a.Given, name) }
	for _, text := range []struct {
		name string
		to   **string
		from string
	}{
		{"url", &c.URL, a.URL}, {"hostkey", &c.HostKey, cleared(a.HostKey)}, {"secret", &c.Secret, string(a.Secret)},
		{"proxy", &c.Proxy, cleared(a.Proxy)}, {"proxysecret", &c.ProxySecret, string(a.ProxySecret)},
		{"authorities", &c.Authorities, cleared(string(a.Authorities))}, {"template", &c.Template, cleared(a.Template)},
	} {
		if given(text.name) && (text.name != "secret" || text.from != "") {
			*text.to = &text.from
		}
	}
	c.Auto, c.Manifest = a.Auto, a.Manifest
	if given("bytespersecond") {
		c.BytesPerSecond = &a.BytesPerSecond
	}
	return c
}
