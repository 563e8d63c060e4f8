package shell

import (
	"strings"

	"diagsh/internal/menu"
)

// remoteCapture understands the command lines of Wireshark's sshdump (extcap/sshdump.c, Wireshark
// 4.x):
//
//	tcpdump -U [-i 'IF'] [-p] -w - [-c N] 'FILTER'
//	dumpcap [-p] [-i 'IF' ...] -w - [-c N] -f 'FILTER'
//
// and those in recipes for it, such as tcpdump -nni IF -s0 -U -w -, with nothing, sudo, or doas
// before them. It returns the equivalent command line of this shell. Lines that begin in another
// way are returned unchanged, for the tree of commands. Anything else in such a line is refused: no
// shell reads it, so what a shell would make of it must not be guessed.
func remoteCapture(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return line, nil
	}
	switch words[0] {
	case "tcpdump", "dumpcap", "sudo", "doas":
	default:
		return line, nil
	}
	commands, err := menu.Split(line)
	if err != nil {
		return "", err
	}
	if len(commands) != 1 {
		return "", refused(";")
	}
	r := remote{words: commands[0]}
	if err := r.parse(); err != nil {
		return "", err
	}
	return r.line(), nil
}

// remote is such a command line, as far as it is understood.
type remote struct {
	words      []menu.Word
	interfaces []string
	count      string
	output     string
	filters    []string
	snaplen    string
	alone      bool // -p
	dumpcap    bool // dumpcap, not tcpdump
	pcapng     bool
}

func refused(word string) error {
	return menu.Errorf(menu.Usage, "%q is not understood in this place", menu.Quote(word)).
		WithHint(
			"Of tcpdump and dumpcap the appliance takes what Wireshark's sshdump sends, and recipes: -i, -c, -s, -p, " +
				"-w -, a filter, and -n, -l, -q and -U, which change nothing here")
}

// next takes a word. It refuses one that a shell would change.
func (r *remote) next() (string, error) {
	if len(r.words) == 0 {
		return "", menu.Errorf(menu.Usage,
			"The line ends too early").WithHint("A value is missing after the last option")
	}
	w := r.words[0]
	r.words = r.words[1:]
	if !w.Quoted && strings.ContainsAny(w.Text, "|&<>$`()*?[]{}~#!^") {
		return "", refused(w.Text)
	}
	return w.Text, nil
}

func (r *remote) parse() error {
	program, err := r.program()
	if err != nil {
		return err
	}
	r.dumpcap = program == "dumpcap"
	r.pcapng = r.dumpcap
	for len(r.words) > 0 {
		word, err := r.next()
		if err != nil {
			return err
		}
		switch {
		case len(word) > 1 && word[0] == '-':
			if err := r.options(word); err != nil {
				return err
			}
		case r.dumpcap, word == "-":
			return refused(word)
		default:
			r.filters = append(r.filters, word) // tcpdump's filter may be several words
		}
	}
	if r.output != "-" {
		return menu.Errorf(menu.Usage,
			"Only a capture to standard output is possible in this way").WithHint("Write: -w -")
	}
	return nil
}

// options takes a word of options: letters without values, and at most one with a value, which is
// the rest of the word or the next one.
func (r *remote) options(word string) error {
	for n, letter := range word[1:] {
		var value *string
		switch letter {
		case 'U', 'n', 'l', 'q': // packets are written as they come, without lookups and messages
		case 'p':
			r.alone = true
		case 'i':
			r.interfaces = append(r.interfaces, "")
			value = &r.interfaces[len(r.interfaces)-1]
		case 'c':
			value = &r.count
		case 's':
			value = &r.snaplen
		case 'w':
			value = &r.output
		case 'f':
			if !r.dumpcap {
				return refused(word)
			}
			r.filters = append(r.filters, "")
			value = &r.filters[len(r.filters)-1]
		case 'P':
			if !r.dumpcap {
				return refused(word)
			}
			r.pcapng = false
		default:
			return refused(word)
		}
		if value == nil {
			continue
		}
		*value = word[1+n+1:]
		var err error
		if *value == "" {
			*value, err = r.next()
		}
		return err
	}
	return nil
}

// program skips sudo [-u USER] and doas [-n], which have no meaning here, and takes the name of the
// program.
func (r *remote) program() (string, error) {
	word, err := r.next()
	if err != nil {
		return "", err
	}
	switch word {
	case "sudo":
		if word, err = r.next(); err == nil && word == "-u" {
			if _, err = r.next(); err == nil {
				word, err = r.next()
			}
		}
	case "doas":
		if word, err = r.next(); err == nil && word == "-n" {
			word, err = r.next()
		}
	}
	switch {
	case err != nil:
		return "", err
	case word != "tcpdump" && word != "dumpcap":
		return "", refused(word)
	}
	return word, nil
}

// line returns the same capture in our words.
func (r *remote) line() string {
	var interfaces []string
	for _, i := range r.interfaces {
		if i == "any" {
			i = "ALL"
		}
		interfaces = append(interfaces, i)
	}
	line := "packetcapture stream"
	if len(interfaces) > 0 {
		line += " interface " + menu.Quote(strings.Join(interfaces, ","))
	}
	var filters []string
	for _, f := range r.filters {
		if strings.TrimSpace(f) != "" {
			filters = append(filters, f)
		}
	}
	if len(filters) > 0 {
		joined := strings.Join(filters, " ")
		if r.dumpcap {
			// dumpcap has one for each -i; ours is for all, and sshdump repeats the same
			joined = filters[0]
		}
		line += " filter " + menu.Quote(joined)
	}
	if r.count != "" && r.count != "0" {
		line += " packets " + menu.Quote(r.count)
	}
	if r.snaplen != "" {
		line += " snaplen " + menu.Quote(r.snaplen)
	}
	if r.alone {
		line += " promiscuous no"
	}
	switch {
	case r.pcapng:
		line += " format pcapng"
	case r.dumpcap:
		line += " format pcap"
	}
	return line
}
