package shell

import (
	"strings"

	"diagsh/menu"
)

// remoteCapture understands the command lines by which Wireshark's sshdump has packets captured (extcap/sshdump.c, Wireshark 4.x):
//
//	tcpdump -U [-i 'IF'] [-p] -w - [-c N] 'FILTER'
//	dumpcap [-p] [-i 'IF' ...] -w - [-c N] -f 'FILTER'
//
// with nothing, sudo, or doas before them. It returns the line of ours that does the same. A line that begins in another way is
// left as it is, to the tree of commands. Anything else in such a line is refused: no shell reads it, so what a shell would make of
// it must not be guessed.
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
	alone      bool // -p
	pcapng     bool
}

func refused(word string) error {
	return menu.Errorf(menu.Usage, "%q is not understood in this place", menu.Quote(word)).
		WithHint("Of tcpdump and dumpcap the appliance takes what Wireshark's sshdump sends: -i, -c, -p, -U, -w -, and a filter")
}

// next takes a word. One that a shell would not take as it stands is refused.
func (r *remote) next() (string, error) {
	if len(r.words) == 0 {
		return "", menu.Errorf(menu.Usage, "The line ends too early").WithHint("A value is missing behind the last option")
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
	r.pcapng = program == "dumpcap"
	for len(r.words) > 0 {
		word, err := r.next()
		if err != nil {
			return err
		}
		var value *string
		switch {
		case word == "-U":
		case word == "-p":
			r.alone = true
		case word == "-i":
			r.interfaces = append(r.interfaces, "")
			value = &r.interfaces[len(r.interfaces)-1]
		case word == "-c":
			value = &r.count
		case word == "-w":
			value = &r.output
		case word == "-f" && r.pcapng:
			r.filters = append(r.filters, "")
			value = &r.filters[len(r.filters)-1]
		case strings.HasPrefix(word, "-"), r.pcapng:
			return refused(word)
		default:
			r.filters = append(r.filters, word) // tcpdump's filter may be several words
		}
		if value != nil {
			if *value, err = r.next(); err != nil {
				return err
			}
		}
	}
	if r.output != "-" {
		return menu.Errorf(menu.Usage, "Only a capture to standard output is possible in this way").WithHint("Write: -w -")
	}
	return nil
}

// program steps over sudo [-u USER] and doas [-n], which are without meaning here, and takes the name of the program.
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

// line is the same capture in our words.
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
		if r.pcapng {
			// dumpcap has one for each -i; ours is for all, and sshdump sends the same each time.
			joined = filters[0]
		}
		line += " filter " + menu.Quote(joined)
	}
	if r.count != "" && r.count != "0" {
		line += " packets " + menu.Quote(r.count)
	}
	if r.alone {
		line += " promiscuous no"
	}
	if r.pcapng {
		line += " format pcapng"
	}
	return line
}
