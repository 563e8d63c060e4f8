package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/commands/probeview"
	"diagsh/diag/dns"
	"diagsh/menu"
)

type nslookupArgs struct {
	Name   string `arg:"name,main,required" ask:"Please enter the host or IP address to resolve." help:"Name, or an address whose name is asked for."`
	Type   string `arg:"type,next" ask:"Choose the query type:" default:"A" choices:"A|AAAA|CNAME|MX|NS|PTR|SOA|TXT" help:"Type of the records."`
	Server string `arg:"server" help:"Name server to ask; those of the appliance, if not given."`
}

// A nslookupRecord is one record of the answer.
type nslookupRecord struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
	TTL   int64  `json:"ttl"` // in seconds
}

// nslookup asks for the records of a name.
func nslookup() *menu.Command {
	return menu.Spec[nslookupArgs, nslookupRecord]{
		Name: "nslookup",
		Help: "Query a nameserver.",
		Role: menu.Operator,
		Ask: func(_ context.Context, _ menu.Caller, a nslookupArgs, q *menu.Question) error {
			if _, isAddress := dns.Reverse(a.Name); isAddress && q.Name == "type" {
				q.Skip, q.Default = true, "PTR"
			}
			return nil
		},
		Suggest: probeview.SuggestHosts[nslookupArgs](dns.Any, "name", "server"),
		Run: func(ctx context.Context, _ menu.Caller, a nslookupArgs, out *menu.Out[nslookupRecord]) error {
			name, isAddress := dns.Reverse(a.Name)
			if isAddress {
				a.Type = "PTR"
			}
			servers, err := probeview.NameServers(ctx, a.Server, 53, fromAnywhere)
			if err != nil {
				return err
			}
			reply, err := dns.Ask(ctx, dns.Question{Name: name, Type: a.Type, Servers: servers, Recursive: true, Timeout: dnsTime})
			if err != nil {
				return probeview.NoReply(err, name)
			}
			found := 0
			for _, r := range reply.Answer {
				if r.Type != a.Type && r.Type != "CNAME" {
					continue
				}
				found++
				if err := out.Record(nslookupRecord{Name: r.Name, Type: r.Type, Value: r.Data, TTL: int64(r.TTL / time.Second)}); err != nil {
					return err
				}
			}
			switch {
			case reply.Code == "NXDOMAIN":
				return &menu.Error{Kind: menu.NotFound, Argument: "name", Message: fmt.Sprintf("There is no name %q", menu.Clean(a.Name))}
			case reply.Code != "NOERROR":
				return menu.Errorf(menu.Failed, "The name server %s answered %s", probeview.ServerAddress(reply.Server), reply.Code)
			case found == 0:
				return &menu.Error{Kind: menu.NotFound, Argument: "type", Message: fmt.Sprintf("%s has no %s record", menu.Clean(a.Name), a.Type)}
			}
			return nil
		},
		TextTable: func(w io.Writer, list []nslookupRecord) {
			for _, r := range list {
				fmt.Fprintf(w, "%s=%s TTL=%s\n", r.Type, menu.Clean(strings.TrimSuffix(r.Value, ".")), spelledTTL(r.TTL))
			}
		},
	}.Command()
}

// spelledTTL writes seconds as people say them: 1h 30m.
func spelledTTL(seconds int64) string {
	text := menu.FormatDuration(time.Duration(seconds) * time.Second)
	var b strings.Builder
	for i, c := range text {
		b.WriteRune(c)
		if c > '9' && i < len(text)-1 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}
