package commands

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/source"
	"diagsh/internal/menu"
)

// fromAnywhere is the source of questions that leave it to the routes.
var fromAnywhere = source.Source{}

type digArgs struct {
	Name     string        `arg:"name,positional:1,required" flag:"-x" ask:"Name to look up" help:"Name, in the letters of any language, or an address whose name is asked for."`
	Type     string        `arg:"type,positional:2" flag:"-t" ask:"Type of the records" default:"A" help:"Type of the records, such as A, AAAA, MX, TXT, SOA, SRV, TLSA, ANY, TYPE65; PTR for an address; AXFR, or IXFR=SERIAL, for a zone."`
	Class    string        `arg:"class,positional:3" flag:"-c" default:"IN" help:"Class of the records: IN, CH, HS, ANY, or CLASS and a number."`
	Server   string        `arg:"server" flag:"@" help:"Name server to ask; those of the appliance, if not given."`
	Port     int           `arg:"port" flag:"-p" default:"53" min:"1" max:"65535" help:"Port of the name server."`
	Source   string        `arg:"source" flag:"-b" default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	TCP      bool          `arg:"tcp" label:"TCP" flag:"+tcp" help:"Ask over TCP at once."`
	DNSSEC   bool          `arg:"dnssec" label:"DNSSEC" flag:"+dnssec" help:"Ask for signatures too."`
	CD       bool          `arg:"cdflag" label:"Checking disabled" flag:"+cdflag" help:"Ask the name server not to check signatures."`
	EDNS     string        `arg:"edns" label:"EDNS" flag:"+edns=yes +noedns=no" choices:"auto|yes|no" default:"auto" help:"Ask with EDNS; auto asks again without it where it is refused or gets no answer."`
	NSID     bool          `arg:"nsid" label:"Name server identifier" flag:"+nsid" help:"Ask the name server for its own name."`
	Cookie   bool          `arg:"cookie" flag:"+nocookie=no" default:"yes" help:"Send a cookie, and show the name server's."`
	Recurse  bool          `arg:"recurse" flag:"+norecurse=no" default:"yes" help:"Let the name server ask others."`
	Search   bool          `arg:"search" flag:"+search" help:"Look a short name up in the appliance's search list too."`
	Short    bool          `arg:"short" flag:"+short" help:"Show the data of the answer alone."`
	Timeout  time.Duration `arg:"timeout" flag:"+time=" min:"1" max:"60" help:"Time that each name server may take; as the appliance's resolver has it, if not given (dnsstatus shows it)."`
	Attempts int           `arg:"tries" flag:"+tries=" min:"1" max:"10" help:"How often each name server is asked that does not answer; as the appliance's resolver has it, if not given."`
}

// A digReply is the answer of a name server.
type digReply struct {
	Server      string       `json:"server"`
	Protocol    string       `json:"protocol"`
	Seconds     float64      `json:"seconds"`
	Bytes       int          `json:"bytes"`
	Messages    int          `json:"messages,omitempty"` // of a zone
	ID          int          `json:"id"`
	Status      string       `json:"status"`
	Flags       []string     `json:"flags"`
	EDNS        *digEDNS     `json:"edns,omitempty"`
	Name        string       `json:"name"`
	UnicodeName string       `json:"unicodeName,omitempty"` // if it is in other letters
	Type        string       `json:"type"`
	Class       string       `json:"class"`
	Answer      []digRecord  `json:"answer"`
	Authority   []digRecord  `json:"authority"`
	Additional  []digRecord  `json:"additional"`
	Incomplete  bool         `json:"incomplete,omitempty"` // a zone has more records
	Tried       []digAttempt `json:"tried,omitempty"`      // questions before, that gave no final answer
	When        time.Time    `json:"time"`

	short bool
}

// A digEDNS is the EDNS part of an answer (RFC 6891).
type digEDNS struct {
	Version        int         `json:"version"`
	Flags          []string    `json:"flags"`
	UDPBytes       int         `json:"udpBytes"`       // that the name server takes
	NSID           string      `json:"nsid,omitempty"` // in hexadecimal
	NSIDText       string      `json:"nsidText,omitempty"`
	Cookie         string      `json:"cookie,omitempty"`
	CookieGood     bool        `json:"cookieGood,omitempty"`
	ExtendedErrors []digError  `json:"extendedErrors,omitempty"`
	Options        []digOption `json:"options,omitempty"` // others
}

type digError struct {
	Code    int    `json:"code"`
	Purpose string `json:"purpose,omitempty"`
	Text    string `json:"text,omitempty"`
}

type digOption struct {
	Code int    `json:"code"`
	Data string `json:"data"` // in hexadecimal
}

type digRecord struct {
	Name        string `json:"name"`
	TTL         int64  `json:"ttl"` // in seconds
	Class       string `json:"class"`
	Type        string `json:"type"`
	Data        string `json:"data"`
	UnicodeName string `json:"unicodeName,omitempty"`
	UnicodeData string `json:"unicodeData,omitempty"`
}

type digAttempt struct {
	Server   string `json:"server"`
	Protocol string `json:"protocol"`
	EDNS     bool   `json:"edns"`
	Result   string `json:"result"`
}

// dig returns the command that asks a name server and shows all of its answer.
func dig() *menu.Command {
	return menu.Decl[digArgs, digReply]{
		Name: "dig",
		Help: "Look up a record on a nameserver, and show the whole answer.",
		Details: "An answer that was cut off is asked for again over TCP. A name server that fails leaves the " +
			"question to the next. As with others' dig, name, type and class may be in any order.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a digArgs, q *menu.Question) error {
			switch q.Name {
			case "type":
				_, isAddress := dns.Reverse(a.Name)
				q.Skip = isAddress
			case "source":
				probes.ChooseSource(q)
			}
			return nil
		},
		Suggest: probes.SuggestHosts[digArgs](dns.Any, "name", "server"),
		Check: func(_ context.Context, _ menu.Caller, a digArgs, name string) error {
			switch name {
			case "source":
				_, err := probes.Source(a.Source)
				return err
			case "type":
				if !dns.IsClass(a.Type) && !reordered(&a) {
					return menu.BadArgument("type", "There is no type of record %q", menu.Clean(a.Type)).
						WithHint("It is such as A, AAAA, MX, TXT, or TYPE and a number")
				}
			case "class":
				if !dns.IsClass(a.Class) && !reordered(&a) {
					return menu.BadArgument("class", "There is no class %q", menu.Clean(a.Class)).
						WithHint("It is IN, CH, HS, ANY, or CLASS and a number")
				}
			}
			return nil
		},
		Run:  runDig,
		Text: digText,
	}.Command()
}

// reordered sorts name, type and class of a line into their places. As with BIND's dig they may
// come in any order: a word in another place is a type or a class if it can be one. It reports
// false if the words make no question.
func reordered(a *digArgs) bool {
	if isDigType(a.Type) && dns.IsClass(a.Class) {
		return true
	}
	var name, kind, class string
	for _, word := range []string{a.Name, a.Type, a.Class} {
		switch {
		case word == "", class != "" && word == "IN": // nothing, or nothing but the default
		case kind == "" && isDigType(word):
			kind = word
		case class == "" && dns.IsClass(word):
			class = word
		case name == "":
			name = word
		default:
			return false
		}
	}
	if name == "" {
		return false
	}
	a.Name, a.Type, a.Class = name, cmp.Or(kind, "A"), cmp.Or(class, "IN")
	return true
}

// isDigType reports whether a word is a type of record that dig takes, such as IXFR=SERIAL.
func isDigType(word string) bool {
	kind, _, err := transferFrom(word)
	return err == nil && dns.IsType(kind)
}

// transferFrom splits IXFR=SERIAL. Of other types it returns the type and 0.
func transferFrom(word string) (kind string, serial uint32, err error) {
	kind, number, ok := strings.Cut(word, "=")
	if !ok {
		return word, 0, nil
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err == nil && !strings.EqualFold(kind, "IXFR") {
		err = strconv.ErrSyntax
	}
	return kind, uint32(n), err
}

func runDig(ctx context.Context, _ menu.Caller, a digArgs, out *menu.Out[digReply]) error {
	if !reordered(&a) {
		return menu.BadArgument("type", "%s, %s and %s are no name, type and class", menu.Clean(a.Name),
			menu.Clean(a.Type), menu.Clean(a.Class)).
			WithHint("Write dig NAME TYPE CLASS")
	}
	from, err := probes.Source(a.Source)
	if err != nil {
		return err
	}
	name, isAddress := dns.Reverse(a.Name)
	if isAddress {
		a.Type = "PTR"
	}
	servers, err := probes.NameServers(ctx, a.Server, a.Port, from)
	if err != nil {
		return err
	}
	q := dns.Question{Name: name, Class: a.Class, Search: a.Search && !isAddress, Servers: servers, Source: from,
		TCP: a.TCP, EDNS: map[string]dns.EDNS{"yes": dns.EDNSAlways, "no": dns.EDNSNever}[a.EDNS],
		Recursive: a.Recurse, DNSSEC: a.DNSSEC, CheckingDisabled: a.CD, NSID: a.NSID, Cookie: a.Cookie,
		Timeout: a.Timeout, Attempts: a.Attempts}
	if q.Type, q.Serial, err = transferFrom(a.Type); err != nil {
		return menu.BadArgument("type", "%q is no type of record", menu.Clean(a.Type)).
			WithHint("A zone's changes are asked for by IXFR=SERIAL")
	}
	r, err := dns.System.Ask(ctx, q)
	if err != nil && r.Code == "" {
		return probes.NoReply(err, name)
	}
	// An answer that was cut off, and whose rest did not come, is shown; the command fails.
	failed := out.Record(digRecordOf(r, a.Short))
	return errors.Join(failed, probes.NoReply(err, name))
}

func digRecordOf(r dns.Reply, short bool) digReply {
	d := digReply{Server: r.Server.String(), Protocol: r.Protocol, Seconds: probes.Seconds(r.Time), Bytes: r.Bytes,
		ID: r.ID, Status: r.Code, Flags: r.Flags, Name: r.Name, UnicodeName: unicodeText(r.Name), Type: r.Type,
		Class: r.Class, Answer: digRecords(r.Answer), Authority: digRecords(r.Authority),
		Additional: digRecords(r.Additional), Incomplete: r.Cut, When: time.Now(), short: short}
	if dns.IsTransfer(r.Type) {
		d.Messages = r.Messages
	}
	if o := r.EDNS; o != nil {
		d.EDNS = &digEDNS{Version: o.Version, Flags: append([]string{}, o.Flags...), UDPBytes: o.Payload,
			NSID: hex.EncodeToString(o.NSID), NSIDText: string(o.NSID), Cookie: o.Cookie, CookieGood: o.CookieGood}
		for _, e := range o.Errors {
			d.EDNS.ExtendedErrors = append(d.EDNS.ExtendedErrors, digError(e))
		}
		for _, option := range o.Other {
			d.EDNS.Options = append(d.EDNS.Options, digOption{option.Code, hex.EncodeToString(option.Data)})
		}
	}
	for _, t := range r.Tried {
		d.Tried = append(d.Tried, digAttempt{t.Server.String(), t.Protocol, t.EDNS, probes.AttemptText(t)})
	}
	return d
}

func digRecords(list []dns.Record) []digRecord {
	all := []digRecord{}
	for _, r := range list {
		all = append(all, digRecord{r.Name, int64(r.TTL / time.Second), r.Class, r.Type, r.Data, unicodeText(r.Name),
			unicodeText(r.Data)})
	}
	return all
}

// unicodeText returns a text with its international names in Unicode, "" if it has none.
func unicodeText(text string) string {
	words := strings.Split(text, " ")
	found := false
	for i, w := range words {
		name, ok := dns.Unicode(w)
		words[i], found = name, found || ok
	}
	if !found {
		return ""
	}
	return strings.Join(words, " ")
}

func digText(w io.Writer, r digReply) {
	if r.short {
		for _, a := range r.Answer {
			fmt.Fprintln(w, menu.Clean(a.Data))
		}
		return
	}
	for _, t := range r.Tried {
		edns := ""
		if !t.EDNS && r.EDNS == nil {
			edns = ", without EDNS"
		}
		fmt.Fprintf(w, ";; %s (%s%s): %s\n", trimPort(t.Server), strings.ToUpper(t.Protocol), edns,
			menu.Clean(t.Result))
	}
	fmt.Fprintf(w, ";; status: %s, id: %d, flags: %s\n", r.Status, r.ID, strings.Join(r.Flags, " "))
	if r.EDNS != nil {
		digEDNSText(w, r.EDNS)
	}
	fmt.Fprintf(w, "\n;; QUESTION SECTION:\n;%s\t%s\t%s\n", menu.Clean(r.Name), r.Class, r.Type)
	if r.UnicodeName != "" {
		fmt.Fprintf(w, "; which is %s\n", menu.Clean(r.UnicodeName))
	}
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
			remark := ""
			for _, text := range []string{a.UnicodeName, a.UnicodeData} {
				if text != "" {
					remark += "  ; " + menu.Clean(text)
				}
			}
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s%s\n", menu.Clean(a.Name), a.TTL, a.Class, a.Type,
				menu.Clean(a.Data), remark)
		}
		t.Flush()
	}
	if r.Incomplete {
		fmt.Fprintf(w, ";; The zone has more records than these %d.\n", len(r.Answer))
	}
	fmt.Fprintf(w, "\n;; Query time: %s ms\n;; SERVER: %s (%s)\n;; WHEN: %s\n",
		probes.Milliseconds(time.Duration(r.Seconds*float64(time.Second))), trimPort(r.Server),
		strings.ToUpper(r.Protocol), menu.UTC(r.When))
	if r.Messages > 0 {
		fmt.Fprintf(w, ";; XFR size: %d records (messages %d, bytes %d)\n", len(r.Answer), r.Messages, r.Bytes)
		return
	}
	fmt.Fprintf(w, ";; MSG SIZE rcvd: %d\n", r.Bytes)
}

// digEDNSText writes the EDNS part as BIND's dig does.
func digEDNSText(w io.Writer, o *digEDNS) {
	flags := ""
	for _, f := range o.Flags {
		flags += " " + f
	}
	fmt.Fprintf(w, "\n;; OPT PSEUDOSECTION:\n; EDNS: version: %d, flags:%s; udp: %d\n", o.Version, flags, o.UDPBytes)
	if o.NSID != "" {
		fmt.Fprintf(w, "; NSID: %s (%q)\n", o.NSID, menu.Clean(o.NSIDText))
	}
	if o.Cookie != "" {
		verdict := "not the one that was sent"
		if o.CookieGood {
			verdict = "good"
		}
		fmt.Fprintf(w, "; COOKIE: %s (%s)\n", o.Cookie, verdict)
	}
	for _, e := range o.ExtendedErrors {
		text := ""
		if e.Purpose != "" {
			text = " (" + e.Purpose + ")"
		}
		if e.Text != "" {
			text += ": (" + menu.Clean(e.Text) + ")"
		}
		fmt.Fprintf(w, "; EDE: %d%s\n", e.Code, text)
	}
	for _, option := range o.Options {
		fmt.Fprintf(w, "; OPT=%d: %s\n", option.Code, option.Data)
	}
}

// trimPort returns a server without its port if that is 53.
func trimPort(server string) string {
	address, ok := strings.CutSuffix(server, ":53")
	if !ok {
		return server
	}
	return strings.Trim(address, "[]")
}
