package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"diagsh/commands/probeview"
	"diagsh/diag/dns"
	"diagsh/diag/source"
	"diagsh/menu"
)

// dnsTime is how long one name server may take, if nothing else is said.
const dnsTime = 5 * time.Second

// fromAnywhere leaves the source to the routes.
var fromAnywhere = source.Source{}

type digArgs struct {
	Name    string        `arg:"name,main,required" flag:"-x" ask:"Name to look up" help:"Name, or an address whose name is asked for."`
	Type    string        `arg:"type,next" flag:"-t" ask:"Type of the records" default:"A" help:"Type of the records, such as A, AAAA, MX, TXT, SOA, SRV, TLSA, ANY; PTR for an address."`
	Server  string        `arg:"server" flag:"@" help:"Name server to ask; those of the appliance, if not given."`
	Port    int           `arg:"port" flag:"-p" default:"53" min:"1" max:"65535" help:"Port of the name server."`
	Source  string        `arg:"source" flag:"-b" default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	TCP     bool          `arg:"tcp" flag:"+tcp" help:"Ask over TCP at once."`
	DNSSEC  bool          `arg:"dnssec" flag:"+dnssec" help:"Ask for signatures too."`
	Recurse bool          `arg:"recurse" flag:"+norecurse=no" default:"yes" help:"Let the name server ask others."`
	Short   bool          `arg:"short" flag:"+short" help:"Show the data of the answer alone."`
	Timeout time.Duration `arg:"timeout" default:"5s" min:"1" max:"60" help:"Time that each name server may take."`
}

// A digReply is the answer of a name server.
type digReply struct {
	Server     string      `json:"server"`
	Protocol   string      `json:"protocol"`
	Seconds    float64     `json:"seconds"`
	Bytes      int         `json:"bytes"`
	ID         int         `json:"id"`
	Status     string      `json:"status"`
	Flags      []string    `json:"flags"`
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Answer     []digRecord `json:"answer"`
	Authority  []digRecord `json:"authority"`
	Additional []digRecord `json:"additional"`
	When       time.Time   `json:"time"`

	short bool
}

type digRecord struct {
	Name  string `json:"name"`
	TTL   int64  `json:"ttl"` // in seconds
	Class string `json:"class"`
	Type  string `json:"type"`
	Data  string `json:"data"`
}

// dig asks a name server and shows all of its answer.
func dig() *menu.Command {
	return menu.Spec[digArgs, digReply]{
		Name:    "dig",
		Help:    "Look up a record on a nameserver, and show the whole answer.",
		Details: "A truncated answer is asked for again over TCP.",
		Role:    menu.Operator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a digArgs, q *menu.Question) error {
			switch q.Name {
			case "type":
				_, isAddress := dns.Reverse(a.Name)
				q.Skip = isAddress
			case "source":
				probeview.ChooseSource(q)
			}
			return nil
		},
		Suggest: probeview.SuggestHosts[digArgs](dns.Any, "name", "server"),
		Check: func(_ context.Context, _ menu.Caller, a digArgs, name string) error {
			switch name {
			case "source":
				_, err := probeview.Source(a.Source)
				return err
			case "type":
				if kind := strings.ToUpper(a.Type); !dns.IsType(kind) {
					return menu.Wrong("type", "There is no type of record %q", menu.Clean(a.Type)).WithHint("It is such as A, AAAA, MX, TXT")
				}
			}
			return nil
		},
		Run:  runDig,
		Text: digText,
	}.Command()
}

func runDig(ctx context.Context, _ menu.Caller, a digArgs, out *menu.Out[digReply]) error {
	from, err := probeview.Source(a.Source)
	if err != nil {
		return err
	}
	name, isAddress := dns.Reverse(a.Name)
	if isAddress {
		a.Type = "PTR"
	}
	servers, err := probeview.NameServers(ctx, a.Server, a.Port, from)
	if err != nil {
		return err
	}
	r, err := dns.Ask(ctx, dns.Question{Name: name, Type: a.Type, Servers: servers, Source: from, TCP: a.TCP, Recursive: a.Recurse, DNSSEC: a.DNSSEC, Timeout: a.Timeout})
	if err != nil {
		return probeview.NoReply(err, name)
	}
	return out.Record(digReply{Server: r.Server, Protocol: r.Protocol, Seconds: probeview.Seconds(r.Time), Bytes: r.Bytes, ID: r.ID, Status: r.Code, Flags: r.Flags,
		Name: r.Name, Type: r.Type, Answer: digRecords(r.Answer), Authority: digRecords(r.Authority), Additional: digRecords(r.Additional), When: time.Now(), short: a.Short})
}

func digRecords(list []dns.Record) []digRecord {
	all := []digRecord{}
	for _, r := range list {
		all = append(all, digRecord{r.Name, int64(r.TTL / time.Second), r.Class, r.Type, r.Data})
	}
	return all
}

func digText(w io.Writer, r digReply) {
	if r.short {
		for _, a := range r.Answer {
			fmt.Fprintln(w, menu.Clean(a.Data))
		}
		return
	}
	fmt.Fprintf(w, ";; status: %s, id: %d, flags: %s\n", r.Status, r.ID, strings.Join(r.Flags, " "))
	fmt.Fprintf(w, "\n;; QUESTION SECTION:\n;%s\tIN\t%s\n", menu.Clean(r.Name), r.Type)
	for _, section := range []struct {
		name    string
		records []digRecord
	}{{"ANSWER", r.Answer}, {"AUTHORITY", r.Authority}, {"ADDITIONAL", r.Additional}} {
		if len(section.records) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n;; %s SECTION:\n", section.name)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, a := range section.records {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", menu.Clean(a.Name), a.TTL, a.Class, a.Type, menu.Clean(a.Data))
		}
		t.Flush()
	}
	fmt.Fprintf(w, "\n;; Query time: %s ms\n;; SERVER: %s (%s)\n;; WHEN: %s\n;; MSG SIZE rcvd: %d\n", probeview.Milliseconds(time.Duration(r.Seconds*float64(time.Second))),
		probeview.ServerAddress(r.Server), strings.ToUpper(r.Protocol), r.When.UTC().Format("2006-01-02 15:04:05 UTC"), r.Bytes)
}
