package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/names"
	"diagsh/diag/traceroute"
	"diagsh/internal/menu"
)

type traceArgs struct {
	Source   string        `arg:"source" flag:"-s -i" ask:"Which interface do you want to trace from?" default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	Host     string        `arg:"host,positional:1,required" ask:"Please enter the host to which you want to trace the route." help:"Name or address of the host."`
	Protocol string        `arg:"protocol" flag:"-P -I=icmp -T=tcp" choices:"udp|icmp|tcp" default:"udp" help:"What the probes are."`
	Port     int           `arg:"port" flag:"-p" min:"1" max:"65535" help:"Destination port of the probes; 33434 for udp and 80 for tcp, if not given."`
	TTL      int           `arg:"ttl" label:"TTL" flag:"-m" default:"64" min:"1" max:"255" help:"Number of hops to look at."`
	Probes   int           `arg:"probes" flag:"-q" default:"3" min:"1" max:"10" help:"Probes of each hop."`
	Size     int           `arg:"size" min:"28" max:"65000" help:"Bytes of each packet with its headers; 40, with IPv6 60, if not given."`
	DF       bool          `arg:"df" label:"Do not fragment" flag:"-F" help:"Forbid routers to cut a probe into fragments; the one whose next hop is too small for it says so."`
	Wait     time.Duration `arg:"wait" flag:"-w" default:"5s" min:"1" max:"60" help:"Time that answers may take when the host itself does not answer."`
	Numeric  bool          `arg:"numeric" flag:"-n" help:"Do not look up the names of routers."`
	Watch    bool          `arg:"watch" help:"Go on tracing, and show the loss and the times of each hop in place."`
	Interval time.Duration `arg:"interval" default:"1s" min:"1" max:"3600" help:"Time between rounds of watch."`
	Rounds   int           `arg:"rounds" min:"1" max:"1000000" help:"Number of rounds of watch; without it, until it is interrupted."`
}

// A traceHop is a hop of the path: its probes in the order of sending or, with watch, the sums of
// all probes so far.
type traceHop struct {
	Host    string `json:"host"`
	Address string `json:"address"` // of the host
	Hop     int    `json:"hop"`
	*tracedHop
	*watchedHop
}

type tracedHop struct {
	Probes []traceProbe `json:"probes"`
}

type traceProbe struct {
	Address string  `json:"address,omitempty"` // of the router that answered; without an answer only lost is set
	Name    string  `json:"name,omitempty"`
	RTT     float64 `json:"rttSeconds,omitempty"`
	Mark    string  `json:"mark,omitempty"`  // !H, !N, !X …
	Error   string  `json:"error,omitempty"` // the same in words
	Reached bool    `json:"reached,omitempty"`
	Lost    bool    `json:"lost,omitempty"`
}

type watchedHop struct {
	Round       int           `json:"round"`
	Routers     []traceRouter `json:"routers"`
	Sent        int           `json:"sent"`
	Received    int           `json:"received"`
	LossPercent float64       `json:"lossPercent"`
	Last        float64       `json:"last"`
	Average     float64       `json:"average"`
	Best        float64       `json:"best"`
	Worst       float64       `json:"worst"`
	Deviation   float64       `json:"deviation"`
	Mark        string        `json:"mark,omitempty"`
}

type traceRouter struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
}

func tracerouteCommand() *menu.Command {
	spec := tracerouteSpec("traceroute", "Display the network route to a remote host.", dns.Any)
	// Under this name the output begins with "traceroute to" too: path, audit and API have one
	// name.
	spec.Aliases = []string{"tracert"}
	return spec.Command()
}

// tracerouteSpec returns the declaration of the command for a family of addresses.
func tracerouteSpec(name, help string, family dns.Family) menu.Decl[traceArgs, traceHop] {
	return menu.Decl[traceArgs, traceHop]{
		Name: name,
		Help: help,
		Details: "Many hops are probed at a time, and all probes take one path where routers balance the load by " +
			"flow. Marks: * no answer, !H host, !N network, !P protocol unreachable, !X !A !Z prohibited, !F-MTU too " +
			"big for the next hop, !S source route, !<N> any other.",
		Role:    menu.Operator,
		Shape:   menu.Stream,
		Ask:     probes.AskSource[traceArgs],
		Suggest: probes.SuggestHosts[traceArgs](family, "host"),
		Check: func(_ context.Context, _ menu.Caller, a traceArgs, name string) error {
			switch name {
			case "source":
				_, err := probes.Source(a.Source)
				return err
			case "port":
				if a.Protocol == "icmp" {
					return menu.BadArgument("port", "Probes of ICMP have no port").
						WithHint("Leave it out, or use protocol udp or tcp")
				}
			}
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a traceArgs, out *menu.Out[traceHop]) error {
			return runTrace(ctx, caller, a, family, out)
		},
		Text: traceText,
	}
}

func runTrace(ctx context.Context, caller menu.Caller, a traceArgs, family dns.Family, out *menu.Out[traceHop]) error {
	from, err := probes.Source(a.Source)
	if err != nil {
		return err
	}
	out.Printf("%s", probes.StopHint)
	target, err := probes.Address(ctx, "host", a.Host, family, from)
	if err != nil {
		return err
	}
	o := traceroute.Options{Target: target, Source: from, Protocol: traceroute.Protocol(a.Protocol),
		Port: uint16(a.Port), Hops: a.TTL, Probes: a.Probes,
		Size:         max(a.Size, traceroute.Smallest(traceroute.Protocol(a.Protocol), target)),
		DontFragment: a.DF, Wait: a.Wait}
	if a.Size == 0 {
		o.Size = 40
		if target.Is6() {
			o.Size = 60
		}
	}
	if a.Port == 0 {
		o.Port = map[string]uint16{"udp": 33434, "tcp": 80}[a.Protocol]
	}
	names := &routerNames{ctx: ctx, off: a.Numeric, resolver: names.NewResolver(), found: map[netip.Addr]*routerName{}}
	o.Heard = names.look
	t := tracer{word: cmp.Or(caller.Word, "traceroute"), columns: caller.Columns, host: a.Host, options: o,
		names: names, out: out}
	if a.Watch {
		err = t.watch(ctx, a)
	} else {
		err = t.trace(ctx)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return probes.Failure(err, "Nothing could be sent to %s", target)
}

// A tracer is one run of the command.
type tracer struct {
	word    string // the name by which the command was called
	columns int    // of the terminal; 0 if unknown
	host    string
	options traceroute.Options
	names   *routerNames
	out     *menu.Out[traceHop]
}

func (t tracer) trace(ctx context.Context) error {
	t.out.Printf("%s to %s (%s), %d hops max, %d byte packets\n", t.word, menu.Clean(t.host), t.options.Target,
		t.options.Hops, t.options.Size)
	// Showing a hop waits for the names of its routers. The trace must not wait with it.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hops := make(chan traceroute.Hop, t.options.Hops)
	shown := make(chan error, 1)
	go func() {
		var err error
		for h := range hops {
			if err == nil {
				err = t.out.Record(t.traced(h))
			}
			if err != nil {
				stop()
			}
		}
		shown <- err
	}()
	err := traceroute.Run(ctx, t.options, func(h traceroute.Hop) error {
		hops <- h
		return nil
	})
	close(hops)
	if failed := <-shown; failed != nil {
		return failed
	}
	return err
}

func (t tracer) traced(h traceroute.Hop) traceHop {
	traced := &tracedHop{}
	for _, a := range h.Answers {
		p := traceProbe{Lost: !a.Came()}
		if a.Came() {
			p = traceProbe{Address: a.From.String(), Name: t.names.of(a.From), RTT: probes.Seconds(a.Time),
				Mark: a.Letter(), Reached: a.Reached()}
		}
		if p.Mark != "" {
			p.Error = a.Error.String()
		}
		traced.Probes = append(traced.Probes, p)
	}
	return traceHop{Host: t.host, Address: t.options.Target.String(), Hop: h.Number, tracedHop: traced}
}

// traceText writes a hop as traceroute(8) of BSD does: each further router on a line of its own.
func traceText(w io.Writer, h traceHop) {
	if h.tracedHop == nil {
		return // watch shows a table instead
	}
	fmt.Fprintf(w, "%2d ", h.Hop)
	before := ""
	for _, p := range h.Probes {
		if p.Lost {
			fmt.Fprint(w, " *")
			continue
		}
		if p.Address != before {
			if before != "" {
				fmt.Fprint(w, "\n   ")
			}
			name := p.Name
			if name == "" {
				name = p.Address
			}
			fmt.Fprintf(w, " %s (%s)", menu.Clean(name), p.Address)
			before = p.Address
		}
		fmt.Fprintf(w, "  %.3f ms", p.RTT*1000)
		if p.Mark != "" {
			fmt.Fprintf(w, " %s", p.Mark)
		}
	}
	fmt.Fprintln(w)
}
