package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/ping"
	"diagsh/internal/menu"
)

type pingArgs struct {
	Source    string        `arg:"source" flag:"-S -I" ask:"Which interface do you want to send the pings from?" default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	Host      string        `arg:"host,positional:1,required" ask:"Please enter the host you wish to ping." help:"Name or address of the host."`
	Count     int           `arg:"count" flag:"-c" min:"1" max:"1000000" help:"Number of pings; without it, until it is interrupted."`
	Interval  time.Duration `arg:"interval" flag:"-i" default:"1s" max:"3600" help:"Time between pings, at least 10ms."`
	Size      int           `arg:"size" flag:"-s" default:"56" min:"0" max:"65507" help:"Bytes of data in each ping."`
	DF        bool          `arg:"df" label:"Do not fragment" flag:"-D" help:"Forbid routers to cut a ping into fragments."`
	Fragments string        `arg:"fragments" flag:"-M" choices:"do|want|dont|probe" help:"What becomes of a ping too big for the path: do is df, want and dont let it be cut, here or by any router, probe is do against what is known of the path."`
	TTL       int           `arg:"ttl" label:"TTL" flag:"-m -t" default:"64" min:"1" max:"255" help:"Number of routers that a ping may pass."`
	Wait      time.Duration `arg:"wait" flag:"-W" default:"2s" max:"60" help:"Time that the answer to the last ping may take, at least 10ms."`
	Family    string        `arg:"family" flag:"-4=4 -6=6" choices:"any|4|6" default:"any" help:"Version of IP."`
	Numeric   bool          `arg:"numeric" flag:"-n" default:"yes" help:"Show addresses without names, as it always does."`
	MTU       bool          `arg:"mtu" label:"Search the path MTU" help:"Search for the largest packet that reaches the host in one piece."`
}

// A pingRecord is an event of a ping. Event says which other members are set.
type pingRecord struct {
	Event   string `json:"event"` // reply, duplicate, stray, corrupted, error, statistics; in a search for the path MTU: size, mtu
	Host    string `json:"host"`
	Address string `json:"address"` // of the host, or of the router that sent an error
	*pingReply
	*pingStatistics
	*pingSize
	*pingMTU
}

type pingReply struct {
	Bytes            int            `json:"bytes,omitempty"` // of the ICMP message
	Sequence         int            `json:"sequence"`
	TTL              int            `json:"ttl,omitempty"`
	RTT              float64        `json:"rttSeconds,omitempty"`
	DifferentAddress bool           `json:"differentAddress,omitempty"` // it is not the host's
	Truncated        bool           `json:"truncated,omitempty"`        // it has fewer bytes of data than were sent
	WrongByte        *pingWrongByte `json:"wrongByte,omitempty"`
	PathMTU          int            `json:"pathMtu,omitempty"` // where a ping was too big for it
	Error            string         `json:"error,omitempty"`
}

// A pingWrongByte is the first byte of an answer that differs from what was sent.
type pingWrongByte struct {
	Offset int `json:"offset"` // in the data
	Sent   int `json:"sent"`
	Got    int `json:"got"`
}

type pingStatistics struct {
	Transmitted int     `json:"transmitted"`
	Received    int     `json:"received"`
	Duplicates  int     `json:"duplicates"`
	Errors      int     `json:"errors"`
	Corrupted   int     `json:"corrupted"` // answers with a wrong checksum
	Strays      int     `json:"strays"`    // answers to what was not sent
	LossPercent float64 `json:"lossPercent"`
	Minimum     float64 `json:"minimum"`
	Average     float64 `json:"average"`
	Maximum     float64 `json:"maximum"`
	Deviation   float64 `json:"deviation"`
}

type pingSize struct {
	PacketBytes int    `json:"packetBytes"`
	Answered    bool   `json:"answered"`
	Router      string `json:"router,omitempty"`  // that said that the packet is too big
	NextMTU     int    `json:"nextMtu,omitempty"` // of the link after it
}

type pingMTU struct {
	MTU       int  `json:"mtu"`
	LinkMTU   int  `json:"linkMtu"`
	BlackHole bool `json:"blackHole"`
}

// leastTime is the shortest interval and the shortest wait. ping must not become a flood.
const leastTime = 10 * time.Millisecond

func pingCommand() *menu.Command {
	return pingSpec("ping", "Ping a host on the network.", dns.Any).Command()
}

// pingSpec returns the declaration of the command for a family of addresses.
func pingSpec(name, help string, family dns.Family) menu.Decl[pingArgs, pingRecord] {
	return menu.Decl[pingArgs, pingRecord]{
		Name: name,
		Help: help,
		Details: "With mtu it searches for the path MTU: the largest packet that reaches the host in one piece. A " +
			"packet has 28 bytes more than its data, with IPv6 48. An answer with other data than were sent, from " +
			"another address, or to a ping never sent is marked.",
		Role:    menu.Operator,
		Shape:   menu.Stream,
		Ask:     probes.AskSource[pingArgs],
		Suggest: probes.SuggestHosts[pingArgs](family, "host"),
		Check: func(_ context.Context, _ menu.Caller, a pingArgs, argument string) error {
			return a.check(name, family, argument)
		},
		Run: func(ctx context.Context, _ menu.Caller, a pingArgs, out *menu.Out[pingRecord]) error {
			return runPing(ctx, a, family, out)
		},
		Text: pingText,
	}
}

// check returns an error if an argument of the command is not valid. name is that of the command.
func (a pingArgs) check(name string, family dns.Family, argument string) error {
	switch argument {
	case "source":
		_, err := probes.Source(a.Source)
		return err
	case "interval":
		if a.Interval < leastTime {
			return menu.BadArgument("interval", "The interval is too short").WithHint("It is at least 10ms")
		}
	case "wait":
		if a.Wait < leastTime {
			return menu.BadArgument("wait", "The time to wait is too short").WithHint("It is at least 10ms")
		}
	case "numeric":
		if !a.Numeric {
			return menu.BadArgument("numeric", "%s shows no names", name).WithHint("Use nslookup")
		}
	case "family":
		if family != dns.Any && a.Family != string(dns.Any) && a.Family != string(family) {
			return menu.BadArgument("family", "%s is for IPv%s alone", name, family).WithHint("Use ping")
		}
	case "fragments":
		if a.DF && a.Fragments != "" && a.Fragments != string(ping.Forbidden) {
			return menu.BadArgument("fragments", "df forbids fragments, and fragments %s does not say the same",
				a.Fragments).WithHint("Leave out one of the two")
		}
	}
	return nil
}

func runPing(ctx context.Context, a pingArgs, family dns.Family, out *menu.Out[pingRecord]) error {
	if family == dns.Any {
		family = dns.Family(a.Family)
	}
	from, err := probes.Source(a.Source)
	if err != nil {
		return err
	}
	out.Printf("%s", probes.StopHint)
	target, err := probes.Address(ctx, "host", a.Host, family, from)
	if err != nil {
		return err
	}
	o := ping.Options{Target: target, Source: from, Size: a.Size, TTL: a.TTL, Count: a.Count, Interval: a.Interval,
		Wait: a.Wait, Fragments: ping.Fragments(a.Fragments)}
	if a.DF {
		o.Fragments = ping.Forbidden
	}
	if a.MTU {
		return searchMTU(ctx, a.Host, o, out)
	}
	out.Printf("PING %s (%s): %d data bytes\n", menu.Clean(a.Host), target, a.Size)
	statistics, err := ping.Run(ctx, o,
		func(answer ping.Answer) error { return out.Record(pingAnswer(a.Host, answer)) })
	if err != nil && statistics.Sent == 0 {
		return pingFailure(err, target)
	}
	if err := out.Record(pingRecord{Event: "statistics", Host: a.Host, Address: target.String(),
		pingStatistics: pingSums(statistics)}); err != nil {
		return err
	}
	if statistics.Sent > 0 && statistics.Received == 0 && ctx.Err() == nil {
		return menu.Errorf(menu.Failed, "%s did not answer", target)
	}
	return probes.Failure(err, "Nothing could be sent to %s", target)
}

// pingFailure returns the error for users that says why no ping could be sent to target.
func pingFailure(err error, target netip.Addr) error {
	var tooBig *ping.TooBigError
	if errors.As(err, &tooBig) {
		return menu.Errorf(menu.Failed, "Nothing could be sent to %s: %s", target, tooBigText(tooBig))
	}
	return probes.Failure(err, "Nothing could be sent to %s", target)
}

func tooBigText(e *ping.TooBigError) string {
	return fmt.Sprintf("the packet is too big to be sent in one piece, mtu=%d", e.MTU)
}

func pingAnswer(host string, a ping.Answer) pingRecord {
	r := pingRecord{Event: "reply", Host: host,
		pingReply: &pingReply{Bytes: a.Bytes, Sequence: a.Sequence, TTL: a.TTL, RTT: probes.Seconds(a.Time),
			DifferentAddress: a.Elsewhere, Truncated: a.Truncated}}
	if w := a.Wrong; w != nil {
		r.WrongByte = &pingWrongByte{Offset: w.Offset, Sent: int(w.Sent), Got: int(w.Got)}
	}
	if a.From.IsValid() {
		r.Address = a.From.String()
	}
	switch {
	case a.Error == nil && a.Unsent:
		r.Event = "stray"
	case a.Error == nil && a.BadChecksum:
		r.Event = "corrupted"
	case a.Error == nil && a.Duplicate:
		r.Event = "duplicate"
	case a.Error == nil:
	case a.Error.Send != nil:
		r.Event = "error"
		reason, ok := probes.Reason(a.Error.Send)
		if !ok {
			reason = "the packet could not be sent"
		}
		r.Error = reason
		var tooBig *ping.TooBigError
		if errors.As(a.Error.Send, &tooBig) {
			r.Error, r.PathMTU = tooBigText(tooBig), tooBig.MTU
		}
	default:
		r.Event, r.Error, r.PathMTU = "error", a.Error.String(), a.Error.MTU
	}
	return r
}

func pingSums(s ping.Statistics) *pingStatistics {
	return &pingStatistics{Transmitted: s.Sent, Received: s.Received, Duplicates: s.Duplicates, Errors: s.Errors,
		Corrupted: s.Corrupted, Strays: s.Strays, LossPercent: s.Loss(), Minimum: probes.Seconds(s.Min),
		Average: probes.Seconds(s.Average), Maximum: probes.Seconds(s.Max), Deviation: probes.Seconds(s.Deviation)}
}

func searchMTU(ctx context.Context, host string, o ping.Options, out *menu.Out[pingRecord]) error {
	out.Printf("Searching the path MTU to %s (%s)\n", menu.Clean(host), o.Target)
	found, err := ping.FindMTU(ctx, o, func(s ping.Step) error {
		size := pingSize{PacketBytes: s.Size, Answered: s.Answered, NextMTU: s.MTU}
		if s.Router.IsValid() {
			size.Router = s.Router.String()
		}
		return out.Record(pingRecord{Event: "size", Host: host, Address: o.Target.String(), pingSize: &size})
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return probes.Failure(err, "Nothing could be sent to %s", o.Target)
	case found.MTU == 0:
		return menu.Errorf(menu.Failed, "%s does not answer to small packets either", o.Target).
			WithHint("Without answers its path MTU cannot be found")
	}
	return out.Record(pingRecord{Event: "mtu", Host: host, Address: o.Target.String(),
		pingMTU: &pingMTU{MTU: found.MTU, LinkMTU: found.Link, BlackHole: found.BlackHole}})
}
