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
	"diagsh/diag/tcp"
	"diagsh/internal/menu"
)

type telnetArgs struct {
	Source  string        `arg:"source" ask:"Please select which interface you want to telnet from." default:"auto" help:"Interface or own address to connect from; auto leaves it to the routes."`
	Host    string        `arg:"host,positional:1,required" ask:"Enter the remote hostname or IP address." help:"Name or address of the host."`
	Port    int           `arg:"port,positional:2" ask:"Enter the remote port." default:"25" min:"1" max:"65535" help:"Port to connect to."`
	Say     string        `arg:"say,alone" label:"Line to send" help:"Line to say when the other side has spoken, or several with \\n between them; then it ends by itself."`
	Family  string        `arg:"family" choices:"any|4|6" default:"any" help:"Version of IP."`
	Timeout time.Duration `arg:"timeout" default:"10s" min:"1" max:"600" help:"Time that each address of the host may take."`
	Wait    time.Duration `arg:"wait" default:"30s" min:"1" max:"600" help:"Time in which the other side may begin to speak, or answer; mail servers may take 5m (RFC 5321)."`
}

// A telnetTry is the result for one address of the host.
type telnetTry struct {
	Host          string  `json:"host"`
	Address       string  `json:"address"`
	Port          int     `json:"port"`
	Connected     bool    `json:"connected"`
	Seconds       float64 `json:"seconds"` // until the connection was there or had failed
	Error         string  `json:"error,omitempty"`
	Banner        string  `json:"banner"`                  // what the peer sent first, as it came
	BannerSeconds float64 `json:"bannerSeconds,omitempty"` // from the connection to the banner
	Sent          int     `json:"sent,omitempty"`          // number of lines
	Answer        string  `json:"answer,omitempty"`        // what the peer sent after the first of them, as it came
	Truncated     bool    `json:"truncated,omitempty"`     // banner or answer are only its beginning
	Closed        bool    `json:"closed"`                  // by the other side
}

// telnet returns the command that connects to a port and talks there line by line.
func telnet() *menu.Command {
	return menu.Decl[telnetArgs, telnetTry]{
		Name:    "telnet",
		Help:    "Connect to a remote host, and talk to it line by line.",
		Details: "Each line that it is given is sent. With say it talks by itself. Options of the telnet protocol are refused.",
		Terminal: "At a terminal Ctrl-] or Ctrl-C leaves, and Ctrl-D ends what is said. Without a terminal the lines of " +
			"standard input are sent, each when the one before was answered.",
		Role:        menu.Operator,
		Shape:       menu.Stream,
		Interactive: true,
		Ask: func(_ context.Context, _ menu.Caller, _ telnetArgs, q *menu.Question) error {
			if q.Name == "source" {
				probes.ChooseSource(q)
			}
			return nil
		},
		Suggest: probes.SuggestHosts[telnetArgs](dns.Any, "host"),
		Check: func(_ context.Context, _ menu.Caller, a telnetArgs, name string) error {
			if name == "source" {
				_, err := probes.Source(a.Source)
				return err
			}
			return nil
		},
		Run:  runTelnet,
		Text: telnetText,
	}.Command()
}

func runTelnet(ctx context.Context, _ menu.Caller, a telnetArgs, out *menu.Out[telnetTry]) error {
	from, err := probes.Source(a.Source)
	if err != nil {
		return err
	}
	addresses, err := probes.Addresses(ctx, "host", a.Host, dns.Family(a.Family), from)
	if err != nil {
		return err
	}
	reason := ""
	for _, address := range addresses {
		out.Printf("Trying %s...\n", address)
		try := telnetTry{Host: a.Host, Address: address.String(), Port: a.Port}
		conn, took, err := tcp.Dial(ctx, netip.AddrPortFrom(address, uint16(a.Port)), from, a.Timeout)
		try.Seconds = probes.Seconds(took)
		if ctx.Err() != nil && err != nil {
			return ctx.Err()
		}
		if err != nil {
			known, ok := probes.Reason(err)
			if !ok {
				return err
			}
			reason, try.Error = known, known
			if err := out.Record(try); err != nil {
				return err
			}
			continue
		}
		defer conn.Close()
		try.Connected = true
		out.Printf("Connected to %s (%s ms).\n", menu.Clean(a.Host), probes.Milliseconds(took))
		t := newTalk(conn, a, out, &try)
		if err := t.run(ctx); err != nil {
			return err
		}
		return out.Record(try)
	}
	return menu.Errorf(menu.Failed, "No connection to %s port %d: %s", menu.Clean(a.Host), a.Port, reason)
}

// sayLines returns the lines of a text, which are separated by the two characters \n or by a line
// break.
func sayLines(text string) []string {
	text = strings.NewReplacer(`\\`, `\`, `\r\n`, "\n", `\n`, "\n", "\r\n", "\n", "\r", "\n").Replace(text)
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// telnetText writes how the talk ended. What was said is on the screen already.
func telnetText(w io.Writer, t telnetTry) {
	switch {
	case !t.Connected:
		fmt.Fprintf(w, "Connect to address %s: %s\n", t.Address, t.Error)
	case t.Error != "":
		fmt.Fprintf(w, "The connection broke: %s.\n", t.Error)
	case t.Closed:
		fmt.Fprintln(w, "Connection closed by foreign host.")
	default:
		fmt.Fprintln(w, "Connection closed.")
	}
}
