package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/internal/menu"
)

type nslookupArgs struct {
	Name   string `arg:"name,positional:1,required" ask:"Please enter the host or IP address to resolve." help:"Name, in the letters of any language, or an address whose name is asked for."`
	Type   string `arg:"type,positional:2" ask:"Choose the query type:" default:"A" choices:"A|AAAA|CNAME|MX|NS|PTR|SOA|TXT" help:"Type of the records."`
	Server string `arg:"server" help:"Name server to ask; those of the appliance, if not given."`
	Search bool   `arg:"search" default:"yes" help:"Look a short name up in the appliance's search list; a name that ends with a dot is whole."`
}

// A nslookupRecord is one record of the answer.
type nslookupRecord struct {
	Name         string `json:"name"`
	UnicodeName  string `json:"unicodeName,omitempty"` // if it is in other letters
	Type         string `json:"type"`
	Value        string `json:"value"`
	UnicodeValue string `json:"unicodeValue,omitempty"`
	TTL          int64  `json:"ttl"` // in seconds

	found string // the name of the records, if it is not the one that was given
}

// nslookup returns the command that asks for the records of a name.
func nslookup() *menu.Command {
	return menu.Decl[nslookupArgs, nslookupRecord]{
		Name: "nslookup",
		Help: "Query a nameserver.",
		Role: menu.Operator,
		Ask: func(_ context.Context, _ menu.Caller, a nslookupArgs, q *menu.Question) error {
			if _, isAddress := dns.Reverse(a.Name); isAddress && q.Name == "type" {
				q.Skip, q.Default = true, "PTR"
			}
			return nil
		},
		Suggest:   probes.SuggestHosts[nslookupArgs](dns.Any, "name", "server"),
		Run:       runNslookup,
		TextTable: nslookupText,
	}.Command()
}

func runNslookup(ctx context.Context, _ menu.Caller, a nslookupArgs, out *menu.Out[nslookupRecord]) error {
	name, isAddress := dns.Reverse(a.Name)
	if isAddress {
		a.Type = "PTR"
	}
	servers, err := probes.NameServers(ctx, a.Server, 53, fromAnywhere)
	if err != nil {
		return err
	}
	reply, err := dns.System.Ask(ctx,
		dns.Question{Name: name, Type: a.Type, Servers: servers, Search: a.Search && !isAddress, Recursive: true})
	if err != nil {
		return probes.NoReply(err, name)
	}
	switch reply.Code {
	case "NOERROR", "NXDOMAIN":
	default:
		return probes.BadCode(reply)
	}
	found := ""
	if asked, err := dns.ASCII(name); err != nil || !strings.EqualFold(strings.TrimSuffix(asked, ".")+".", reply.Name) {
		found = reply.Name
	}
	records := 0
	for _, r := range reply.Answer {
		if r.Type != a.Type && r.Type != "CNAME" {
			continue
		}
		records++
		if err := out.Record(nslookupRecord{Name: r.Name, UnicodeName: unicodeText(r.Name), Type: r.Type, Value: r.Data,
			UnicodeValue: unicodeText(r.Data),
			TTL:          int64(r.TTL / time.Second), found: found}); err != nil {
			return err
		}
	}
	switch {
	case reply.Code == "NXDOMAIN":
		return &menu.Error{Code: menu.NotFound, Argument: "name",
			Message: "There is no name " + probes.BothNames(a.Name, `"`)}
	case records == 0:
		return &menu.Error{Code: menu.NotFound, Argument: "type",
			Message: fmt.Sprintf("%s has no %s record", probes.BothNames(a.Name, ""), a.Type)}
	}
	return nil
}

func nslookupText(w io.Writer, list []nslookupRecord) {
	if len(list) > 0 && list[0].found != "" {
		fmt.Fprintf(w, "Name: %s\n", menu.Clean(strings.TrimSuffix(list[0].found, ".")))
	}
	for _, r := range list {
		value := menu.Clean(strings.TrimSuffix(r.Value, "."))
		if r.UnicodeValue != "" {
			value += " (" + menu.Clean(strings.TrimSuffix(r.UnicodeValue, ".")) + ")"
		}
		fmt.Fprintf(w, "%s=%s TTL=%s\n", r.Type, value, spelledTTL(r.TTL))
	}
}

// spelledTTL returns seconds in larger units: 1h 30m.
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
