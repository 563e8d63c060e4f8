package commands

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"diagsh/commands/probeview"
	"diagsh/diag/dns"
	"diagsh/diag/tcp"
	"diagsh/menu"
)

type telnetArgs struct {
	Source  string        `arg:"source" ask:"Please select which interface you want to telnet from." default:"auto" help:"Interface or own address to connect from; auto leaves it to the routes."`
	Host    string        `arg:"host,main,required" ask:"Enter the remote hostname or IP address." help:"Name or address of the host."`
	Port    int           `arg:"port,next" ask:"Enter the remote port." default:"25" min:"1" max:"65535" help:"Port to connect to."`
	Family  string        `arg:"family" choices:"any|4|6" default:"any" help:"Version of IP."`
	Timeout time.Duration `arg:"timeout" default:"10s" min:"1" max:"600" help:"Time that each address of the host may take."`
	Wait    time.Duration `arg:"wait" default:"5s" min:"1" max:"600" help:"Time in which the other side may begin to speak."`
}

// A telnetTry is what came of one address of the host.
type telnetTry struct {
	Host      string  `json:"host"`
	Address   string  `json:"address"`
	Port      int     `json:"port"`
	Connected bool    `json:"connected"`
	Seconds   float64 `json:"seconds"` // until the connection was there or had failed
	Error     string  `json:"error,omitempty"`
	Banner    string  `json:"banner"` // what the other side said first, as it came
	Closed    bool    `json:"closed"` // by the other side
}

// telnet tries whether a port can be reached, and shows what is said there first.
func telnet() *menu.Command {
	return menu.Spec[telnetArgs, telnetTry]{
		Name:    "telnet",
		Help:    "Connect to a remote host, and show what it says first.",
		Details: "It tests the connection; nothing is sent to the other side.",
		Role:    menu.Operator,
		Shape:   menu.Stream,
		Ask: func(_ context.Context, _ menu.Caller, _ telnetArgs, q *menu.Question) error {
			if q.Name == "source" {
				probeview.ChooseSource(q)
			}
			return nil
		},
		Suggest: probeview.SuggestHosts[telnetArgs](dns.Any, "host"),
		Check: func(_ context.Context, _ menu.Caller, a telnetArgs, name string) error {
			if name == "source" {
				_, err := probeview.Source(a.Source)
				return err
			}
			return nil
		},
		Run:  runTelnet,
		Text: telnetText,
	}.Command()
}

func runTelnet(ctx context.Context, _ menu.Caller, a telnetArgs, out *menu.Out[telnetTry]) error {
	from, err := probeview.Source(a.Source)
	if err != nil {
		return err
	}
	addresses, err := probeview.Addresses(ctx, a.Host, dns.Family(a.Family), from)
	if err != nil {
		return err
	}
	reason := ""
	for _, address := range addresses {
		out.Printf("Trying %s...\n", address)
		try := telnetTry{Host: a.Host, Address: address.String(), Port: a.Port}
		began := time.Now()
		result, err := tcp.Try(ctx, netip.AddrPortFrom(address, uint16(a.Port)), from, a.Timeout, a.Wait, func(took time.Duration) error {
			try.Connected, try.Seconds = true, probeview.Seconds(took)
			return out.Printf("Connected to %s (%s ms).\n", menu.Clean(a.Host), probeview.Milliseconds(took))
		})
		if ctx.Err() != nil && !try.Connected {
			return ctx.Err()
		}
		try.Banner, try.Closed = string(result.Banner), result.Closed
		if err != nil {
			known, ok := probeview.Reason(err)
			if !ok {
				return err
			}
			reason, try.Error = known, known
			if !try.Connected {
				try.Seconds = probeview.Seconds(time.Since(began))
			}
		}
		if err := out.Record(try); err != nil || try.Connected {
			return err
		}
	}
	return menu.Errorf(menu.Failed, "No connection to %s port %d: %s", menu.Clean(a.Host), a.Port, reason)
}

func telnetText(w io.Writer, t telnetTry) {
	if !t.Connected {
		fmt.Fprintf(w, "Connect to address %s: %s\n", t.Address, t.Error)
		return
	}
	if t.Banner != "" {
		for _, line := range strings.Split(strings.TrimSuffix(t.Banner, "\n"), "\n") {
			fmt.Fprintf(w, "%s\n", menu.Clean(strings.TrimSuffix(line, "\r")))
		}
	} else if !t.Closed && t.Error == "" {
		fmt.Fprintln(w, "It says nothing.")
	}
	switch {
	case t.Error != "":
		fmt.Fprintf(w, "The connection broke: %s.\n", t.Error)
	case t.Closed:
		fmt.Fprintln(w, "Connection closed by foreign host.")
	default:
		fmt.Fprintln(w, "Connection closed.")
	}
}
