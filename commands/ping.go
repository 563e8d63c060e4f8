package commands

import (
	"context"
	"fmt"
	"io"
	"time"

	"diagsh/commands/probeview"
	"diagsh/diag/dns"
	"diagsh/diag/ping"
	"diagsh/menu"
)

type pingArgs struct {
	Source   string        `arg:"source" flag:"-S -I" ask:"Which interface do you want to send the pings from?" default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	Host     string        `arg:"host,main,required" ask:"Please enter the host you wish to ping." help:"Name or address of the host."`
	Count    int           `arg:"count" flag:"-c" min:"1" max:"1000000" help:"Number of pings; without it, until Ctrl-C."`
	Interval time.Duration `arg:"interval" flag:"-i" default:"1s" max:"3600" help:"Time between pings, at least 10ms."`
	Size     int           `arg:"size" flag:"-s" default:"56" min:"24" max:"65507" help:"Bytes of data in each ping, at least the 24 by which its answers are known."`
	DF       bool          `arg:"df" flag:"-D" help:"Forbid routers to cut a ping into fragments."`
	TTL      int           `arg:"ttl" flag:"-m" default:"64" min:"1" max:"255" help:"Number of routers that a ping may pass."`
	Wait     time.Duration `arg:"wait" default:"2s" min:"1" max:"60" help:"Time that the answer to the last ping may take."`
	MTU      bool          `arg:"mtu" help:"Search for the largest packet that reaches the host in one piece."`
}

// A pingRecord is what happened: Event says what, and which of the other members there are.
type pingRecord struct {
	Event   string `json:"event"` // reply, duplicate, error, statistics; in a search for the path MTU: size, mtu
	Host    string `json:"host"`
	Address string `json:"address"` // of the host, or of the router that sent an error
	*pingReply
	*pingStatistics
	*pingSize
	*pingMTU
}

type pingReply struct {
	Bytes    int     `json:"bytes,omitempty"` // of the ICMP message
	Sequence int     `json:"sequence"`
	TTL      int     `json:"ttl,omitempty"`
	Time     float64 `json:"time,omitempty"`
	Error    string  `json:"error,omitempty"`
}

type pingStatistics struct {
	Transmitted int     `json:"transmitted"`
	Received    int     `json:"received"`
	Duplicates  int     `json:"duplicates"`
	Errors      int     `json:"errors"`
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
	NextMTU     int    `json:"nextMtu,omitempty"` // of the hop behind it
}

type pingMTU struct {
	MTU       int  `json:"mtu"`
	LinkMTU   int  `json:"linkMtu"`
	BlackHole bool `json:"blackHole"`
}

// pingCommand is the command for either version of IP, ping6 for IPv6 alone.
func pingCommand(name, help string, family dns.Family) *menu.Command {
	return menu.Spec[pingArgs, pingRecord]{
		Name: name,
		Help: help,
		Details: "With mtu it searches for the path MTU: the largest packet that reaches the host in one piece. " +
			"A packet has 28 bytes more than its data, with IPv6 48.",
		Role:  menu.Operator,
		Shape: menu.Stream,
		Ask: func(_ context.Context, _ menu.Caller, _ pingArgs, q *menu.Question) error {
			if q.Name == "source" {
				probeview.ChooseSource(q)
			}
			return nil
		},
		Suggest: probeview.SuggestHosts[pingArgs](family, "host"),
		Check: func(_ context.Context, _ menu.Caller, a pingArgs, name string) error {
			switch name {
			case "source":
				_, err := probeview.Source(a.Source)
				return err
			case "interval":
				if a.Interval < 10*time.Millisecond {
					return menu.Wrong("interval", "The interval is too short").WithHint("It is at least 10ms")
				}
			}
			return nil
		},
		Run: func(ctx context.Context, _ menu.Caller, a pingArgs, out *menu.Out[pingRecord]) error {
			return runPing(ctx, a, family, out)
		},
		Text: pingText,
	}.Command()
}

func runPing(ctx context.Context, a pingArgs, family dns.Family, out *menu.Out[pingRecord]) error {
	from, err := probeview.Source(a.Source)
	if err != nil {
		return err
	}
	out.Printf("%s", probeview.StopHint)
	target, err := probeview.Address(ctx, a.Host, family, from)
	if err != nil {
		return err
	}
	o := ping.Options{Target: target, Source: from, Size: a.Size, TTL: a.TTL, Count: a.Count, Interval: a.Interval, Wait: a.Wait, DontFragment: a.DF}
	if a.MTU {
		return searchMTU(ctx, a.Host, o, out)
	}
	out.Printf("PING %s (%s): %d data bytes\n", menu.Clean(a.Host), target, a.Size)
	statistics, err := ping.Run(ctx, o, func(answer ping.Answer) error { return out.Record(pingAnswer(a.Host, answer)) })
	if err != nil && statistics.Sent == 0 {
		return probeview.Failure(err, target)
	}
	if err := out.Record(pingRecord{Event: "statistics", Host: a.Host, Address: target.String(), pingStatistics: pingSums(statistics)}); err != nil {
		return err
	}
	if statistics.Sent > 0 && statistics.Received == 0 && ctx.Err() == nil {
		return menu.Errorf(menu.Failed, "%s did not answer", target)
	}
	return probeview.Failure(err, target)
}

func pingAnswer(host string, a ping.Answer) pingRecord {
	r := pingRecord{Event: "reply", Host: host, pingReply: &pingReply{Bytes: a.Bytes, Sequence: a.Sequence, TTL: a.TTL, Time: probeview.Seconds(a.Time)}}
	if a.From.IsValid() {
		r.Address = a.From.String()
	}
	switch {
	case a.Error == nil && a.Duplicate:
		r.Event = "duplicate"
	case a.Error == nil:
	case a.Error.Send != nil:
		r.Event = "error"
		reason, ok := probeview.Reason(a.Error.Send)
		if !ok {
			reason = "the packet could not be sent"
		}
		r.Error = reason
	default:
		r.Event, r.Error = "error", a.Error.String()
	}
	return r
}

func pingSums(s ping.Statistics) *pingStatistics {
	return &pingStatistics{Transmitted: s.Sent, Received: s.Received, Duplicates: s.Duplicates, Errors: s.Errors, LossPercent: s.Loss(),
		Minimum: probeview.Seconds(s.Min), Average: probeview.Seconds(s.Average), Maximum: probeview.Seconds(s.Max), Deviation: probeview.Seconds(s.Deviation)}
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
		return probeview.Failure(err, o.Target)
	case found.MTU == 0:
		return menu.Errorf(menu.Failed, "%s does not answer to small packets either", o.Target).WithHint("Without answers its path MTU cannot be found")
	}
	return out.Record(pingRecord{Event: "mtu", Host: host, Address: o.Target.String(), pingMTU: &pingMTU{MTU: found.MTU, LinkMTU: found.Link, BlackHole: found.BlackHole}})
}

func pingText(w io.Writer, r pingRecord) {
	switch r.Event {
	case "reply", "duplicate":
		mark := ""
		if r.Event == "duplicate" {
			mark = " (DUP!)"
		}
		ttl := ""
		if r.pingReply.TTL > 0 {
			ttl = fmt.Sprintf(" ttl=%d", r.pingReply.TTL)
		}
		fmt.Fprintf(w, "%d bytes from %s: icmp_seq=%d%s time=%.3f ms%s\n", r.Bytes, r.Address, r.Sequence, ttl, r.Time*1000, mark)
	case "error":
		if r.Address == "" {
			fmt.Fprintf(w, "ping: icmp_seq=%d not sent: %s\n", r.Sequence, r.Error)
			return
		}
		fmt.Fprintf(w, "%d bytes from %s: icmp_seq=%d %s\n", r.Bytes, r.Address, r.Sequence, r.Error)
	case "statistics":
		fmt.Fprintf(w, "\n--- %s ping statistics ---\n%d packets transmitted, %d packets received, ", menu.Clean(r.Host), r.Transmitted, r.Received)
		if r.Duplicates > 0 {
			fmt.Fprintf(w, "+%d duplicates, ", r.Duplicates)
		}
		if r.Errors > 0 {
			fmt.Fprintf(w, "+%d errors, ", r.Errors)
		}
		fmt.Fprintf(w, "%.1f%% packet loss\n", r.LossPercent)
		if r.Received > 0 {
			fmt.Fprintf(w, "round-trip min/avg/max/stddev = %.3f/%.3f/%.3f/%.3f ms\n", r.Minimum*1000, r.Average*1000, r.Maximum*1000, r.Deviation*1000)
		}
	case "size":
		switch {
		case r.Answered:
			fmt.Fprintf(w, "%d bytes: answered\n", r.PacketBytes)
		case r.Router != "":
			fmt.Fprintf(w, "%d bytes: too big, says %s, whose next hop takes %d\n", r.PacketBytes, r.Router, r.NextMTU)
		case r.NextMTU > 0:
			fmt.Fprintf(w, "%d bytes: too big, the path takes %d as far as this appliance knows\n", r.PacketBytes, r.NextMTU)
		default:
			fmt.Fprintf(w, "%d bytes: no answer\n", r.PacketBytes)
		}
	case "mtu":
		fmt.Fprintf(w, "\nThe path MTU to %s is %d bytes (the interface's own is %d).\n", r.Address, r.MTU, r.LinkMTU)
		if r.BlackHole {
			fmt.Fprintf(w, "Larger packets vanish without a word: a black hole on the way. A smaller MTU or MSS clamping helps.\n")
		}
	}
}
