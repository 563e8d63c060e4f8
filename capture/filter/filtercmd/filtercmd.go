// Package filtercmd is the command line of the filter compiler, `diagsh filter`:
// one expression to a listing as tcpdump prints it, or many expressions to JSON.
package filtercmd

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"diagsh/capture/filter"
)

// Exit statuses, those of every diagsh command.
const (
	exitDone       = 0
	exitFailed     = 1
	exitWrongWords = 2
)

const usage = `usage: diagsh filter [-y LINKTYPE] [-s SNAPLEN] [-O] [-d|-dd|-ddd] EXPRESSION
       diagsh filter --batch [-y LINKTYPE] [-s SNAPLEN] [-O] < EXPRESSIONS

Compiles a capture filter and prints the program as tcpdump does; with --batch,
compiles one expression a line and prints one JSON object a line.

  -y LINKTYPE      link type by tcpdump's name or its number (EN10MB)
  -s SNAPLEN       bytes to keep of a packet, 0 for all (262144)
  -O               do not optimise
  -d -dd -ddd      listing for people (the default), for C, in decimal
  --kind KIND      what the program is for: dead, savefile or live (dead)
  --netmask N      netmask for "ip broadcast": a number, or unknown (0)
  --names DIR      take names from hosts, services, protocols, networks and
                   ethers in DIR and from nowhere else
`

// defaultSnapLength is tcpdump's, and what it makes of 0.
const defaultSnapLength = 262144

// Main runs the command with the arguments after `diagsh filter` and returns its exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitDone
	}
	if err != nil {
		fmt.Fprintf(stderr, "diagsh filter: %v\n%s", err, usage)
		return exitWrongWords
	}
	if o.batch {
		if err := batch(o.target, stdin, stdout); err != nil {
			fmt.Fprintf(stderr, "diagsh filter: %v\n", err)
			return exitFailed
		}
		return exitDone
	}
	program, err := filter.Compile(o.expression, o.target)
	if err != nil {
		fmt.Fprintf(stderr, "diagsh filter: %v\n", err)
		showPlace(stderr, err)
		return exitFailed
	}
	fmt.Fprint(stdout, o.listing(program))
	return exitDone
}

// options are what the command line asks for.
type options struct {
	target     filter.Target
	batch      bool
	listing    func(*filter.Program) string
	expression string
}

func parse(args []string) (options, error) {
	o := options{listing: (*filter.Program).Listing}
	flags := flag.NewFlagSet("filter", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	linkType := flags.String("y", filter.EN10MB.String(), "")
	snapLength := flags.Uint("s", defaultSnapLength, "")
	kind := flags.String("kind", "dead", "")
	netmask := flags.String("netmask", "0", "")
	names := flags.String("names", "", "")
	flags.BoolVar(&o.target.Unoptimised, "O", false, "")
	flags.BoolVar(&o.batch, "batch", false, "")
	flags.BoolFunc("d", "", func(string) error { o.listing = (*filter.Program).Listing; return nil })
	flags.BoolFunc("dd", "", func(string) error { o.listing = (*filter.Program).ListingC; return nil })
	flags.BoolFunc("ddd", "", func(string) error { o.listing = (*filter.Program).ListingDecimal; return nil })
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	// As in tcpdump, the words need not be quoted.
	o.expression = strings.Join(flags.Args(), " ")
	if o.batch && flags.NArg() > 0 {
		return o, errors.New("--batch reads the expressions from standard input, not from the command line")
	}
	var err error
	if o.target.LinkType, err = parseLinkType(*linkType); err != nil {
		return o, err
	}
	if o.target.Kind, err = parseKind(*kind); err != nil {
		return o, err
	}
	if *netmask == "unknown" {
		o.target.NetmaskUnknown = true
	} else if o.target.Netmask, err = parseNetmask(*netmask); err != nil {
		return o, err
	}
	if *snapLength == 0 {
		*snapLength = defaultSnapLength
	}
	if *snapLength > defaultSnapLength {
		return o, fmt.Errorf("the snapshot length %d is more than %d", *snapLength, defaultSnapLength)
	}
	o.target.SnapLength = uint32(*snapLength)
	if *names != "" {
		if o.target.Names, err = filter.ReadNames(*names); err != nil {
			return o, err
		}
	}
	return o, nil
}

var linkTypes = []filter.LinkType{
	filter.EN10MB, filter.Raw, filter.IPv4, filter.IPv6, filter.LinuxSLL, filter.LinuxSLL2,
	filter.Null, filter.Loop, filter.PPP, filter.PPPSerial, filter.CiscoHDLC, filter.IEEE80211, filter.IEEE80211Radio,
}

// parseLinkType takes a name or a number; some types have two numbers.
func parseLinkType(s string) (filter.LinkType, error) {
	name := s
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		name = filter.LinkType(n).String()
	}
	var known []string
	for _, l := range linkTypes {
		if strings.EqualFold(l.String(), name) {
			return l, nil
		}
		known = append(known, l.String())
	}
	return 0, fmt.Errorf("no link type %q, there are %s", s, strings.Join(known, ", "))
}

func parseKind(s string) (filter.Kind, error) {
	switch s {
	case "dead":
		return filter.Dead, nil
	case "savefile":
		return filter.Savefile, nil
	case "live":
		return filter.Live, nil
	}
	return 0, fmt.Errorf("no kind %q, there are dead, savefile and live", s)
}

func parseNetmask(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("the netmask %q is neither a number of 32 bits nor unknown", s)
	}
	return uint32(n), nil
}

// showPlace repeats the expression with a mark where the error is.
func showPlace(w io.Writer, err error) {
	var e *filter.Error
	if errors.As(err, &e) && e.Expression != "" && e.Position >= 0 && e.Position <= len(e.Expression) &&
		!strings.ContainsFunc(e.Expression, unicode.IsControl) {
		fmt.Fprintf(w, "  %s\n  %*s\n", e.Expression, e.Position+1, "^")
	}
}

// A result is the line of one expression. All members are always there, so that
// a reader needs no cases.
type result struct {
	Expression string     `json:"expression"`
	OK         bool       `json:"ok"`
	Error      string     `json:"error"`
	Position   int        `json:"position"`
	Kernel     bool       `json:"kernel"`
	Program    [][4]int64 `json:"program"`
}

// batch answers every line of stdin with a line of JSON. Answers wait for no
// more lines than those that are already there, so that a program can ask one by one.
func batch(target filter.Target, stdin io.Reader, stdout io.Writer) error {
	in, out := bufio.NewReader(stdin), bufio.NewWriter(stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			if err := encoder.Encode(compile(strings.TrimSuffix(line, "\n"), target)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

func compile(expression string, target filter.Target) result {
	r := result{Expression: expression, Program: [][4]int64{}}
	program, err := filter.Compile(expression, target)
	if err != nil {
		r.Error = err.Error()
		var e *filter.Error
		if errors.As(err, &e) {
			r.Error, r.Position = e.Message, e.Position
			if e.Hint != "" {
				r.Error += ": " + e.Hint
			}
		}
		return r
	}
	r.OK = true
	r.Kernel, _ = program.KernelReady()
	for _, in := range program.Instructions {
		r.Program = append(r.Program, [4]int64{int64(in.Code), int64(in.Jt), int64(in.Jf), int64(in.K)})
	}
	return r
}
