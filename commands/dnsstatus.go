package commands

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/interfaces"
	"diagsh/diag/routes"
	"diagsh/internal/menu"
)

// A dnsState is the list of the appliance's name servers, with how they answered.
type dnsState struct {
	Servers  []dnsServer `json:"servers"`
	Default  bool        `json:"default"` // none is configured: these are the appliance itself
	Unused   []string    `json:"unusedServers,omitempty"`
	Wrong    []string    `json:"wrongServers,omitempty"` // that are no address
	Search   []string    `json:"search"`
	Ndots    int         `json:"ndots"`
	Timeout  float64     `json:"timeoutSeconds"`
	Attempts int         `json:"attempts"`
	Rotate   bool        `json:"rotate"`
	TCP      bool        `json:"tcp"`
	Options  []string    `json:"options"`
}

// A dnsServer is one of them. It counts all questions of the appliance since its start, for all
// users.
type dnsServer struct {
	Address         string     `json:"address"`
	Interface       string     `json:"interface,omitempty"` // of the route to it
	Gateway         string     `json:"gateway,omitempty"`
	Source          string     `json:"source,omitempty"`
	RouteError      string     `json:"routeError,omitempty"`
	Answers         int64      `json:"answers"`
	Failures        int64      `json:"failures"`
	LastAnswerTime  *time.Time `json:"lastAnswerTime,omitempty"`
	LastSeconds     float64    `json:"lastAnswerSeconds,omitempty"` // that the answer took
	LastStatus      string     `json:"lastAnswerStatus,omitempty"`
	LastFailureTime *time.Time `json:"lastFailureTime,omitempty"`
	LastFailure     string     `json:"lastFailure,omitempty"`
}

// dnsstatus returns the command that shows the name servers in use.
func dnsstatus() *menu.Command {
	return menu.Decl[menu.NoArgs, dnsState]{
		Name: "dnsstatus",
		Help: "Show the name servers in use and how they fared.",
		Details: "It asks nothing itself: answers and failures are those of all questions since the appliance's " +
			"start, of dig and nslookup, and for names in other commands.",
		Role:  menu.ReadOnly,
		Shows: true,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[dnsState]) error {
			c := dns.ReadConfig()
			s := dnsState{Default: c.Default, Wrong: c.Wrong, Search: append([]string{}, c.Search...), Ndots: c.Ndots,
				Timeout: c.Timeout.Seconds(), Attempts: c.Attempts, Rotate: c.Rotate, TCP: c.TCP,
				Options: append([]string{}, c.Options...)}
			for _, a := range c.Unused {
				s.Unused = append(s.Unused, a.String())
			}
			seen := map[netip.AddrPort]dns.Seen{}
			for _, one := range dns.System.Seen() {
				seen[one.Server] = one
			}
			for _, a := range c.Servers {
				s.Servers = append(s.Servers, dnsServerOf(a, seen[netip.AddrPortFrom(a, 53)]))
			}
			return out.Record(s)
		},
		Text: dnsStateText,
	}.Command()
}

func dnsServerOf(a netip.Addr, seen dns.Seen) dnsServer {
	s := dnsServer{Address: a.String(), Answers: seen.Answers, Failures: seen.Failures,
		LastSeconds: probes.Seconds(seen.LastTime), LastStatus: seen.LastCode}
	if !seen.LastAnswer.IsZero() {
		s.LastAnswerTime = &seen.LastAnswer
	}
	if !seen.LastFailure.IsZero() {
		s.LastFailureTime, s.LastFailure = &seen.LastFailure, probes.FaultText(seen.LastError, nil)
	}
	route, err := routes.Get(routes.Query{To: a})
	if err == nil {
		err = route.Err()
	}
	if err != nil {
		var ok bool
		if s.RouteError, ok = probes.Reason(err); !ok {
			s.RouteError = "there is no route to it"
		}
		return s
	}
	s.Interface = interfaces.Names{}.Of(uint32(route.Index))
	if route.Gateway.IsValid() {
		s.Gateway = route.Gateway.String()
	}
	if route.Source.IsValid() {
		s.Source = route.Source.String()
	}
	return s
}

func dnsStateText(w io.Writer, s dnsState) {
	for n, server := range s.Servers {
		fmt.Fprintf(w, "Name server %d: %s\n", n+1, menu.Clean(server.Address))
		fmt.Fprintf(w, "  Route:       %s\n", dnsRoute(server))
		last := "none yet"
		if server.LastAnswerTime != nil {
			last = fmt.Sprintf("%d, the last at %s:\n               %s after %s ms", server.Answers,
				menu.UTC(*server.LastAnswerTime), server.LastStatus,
				probes.Milliseconds(time.Duration(server.LastSeconds*float64(time.Second))))
		}
		fmt.Fprintf(w, "  Answers:     %s\n", last)
		last = "none"
		if server.LastFailureTime != nil {
			last = fmt.Sprintf("%d, the last at %s:\n               %s", server.Failures,
				menu.UTC(*server.LastFailureTime), server.LastFailure)
		}
		fmt.Fprintf(w, "  Failures:    %s\n", last)
	}
	search := "nothing"
	if len(s.Search) > 0 {
		search = strings.Join(cleaned(s.Search), "\n               ")
	}
	fmt.Fprintf(w, "Search list:   %s\n", search)
	fmt.Fprintf(w, "Options:       timeout %s, attempts %d, ndots %d",
		menu.FormatDuration(time.Duration(s.Timeout*float64(time.Second))), s.Attempts, s.Ndots)
	if s.Rotate {
		fmt.Fprint(w, ", rotate")
	}
	if s.TCP {
		fmt.Fprint(w, ", TCP at once")
	}
	fmt.Fprintln(w)
	if s.Default {
		fmt.Fprintln(w, "No name server is configured: the appliance asks itself.")
	}
	for _, a := range s.Unused {
		fmt.Fprintf(w, "Not asked:     %s, as no resolver asks more than three\n", a)
	}
	for _, text := range s.Wrong {
		fmt.Fprintf(w, "Not asked:     %q, which is no address\n", menu.Clean(text))
	}
}

func dnsRoute(s dnsServer) string {
	if s.RouteError != "" {
		return s.RouteError
	}
	text := menu.Clean(s.Interface)
	if s.Source != "" {
		text += " from " + s.Source
	}
	if s.Gateway != "" {
		text += "\n               by the gateway " + s.Gateway
	}
	return text
}

func cleaned(list []string) []string {
	clean := make([]string, len(list))
	for i, s := range list {
		clean[i] = menu.Clean(s)
	}
	return clean
}
