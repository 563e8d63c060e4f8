package owners

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"diagsh/capture/pcapfile"
)

// mostComment is the largest number of bytes of a comment.
const mostComment = 200

// Comments returns what a file says of a packet's owners, a text each, in a fixed form:
//
//	process=curl pid=4242 user=alice exe=/usr/bin/curl
//	to process=nginx pid=80 user=www-data exe=/usr/sbin/nginx
//
// What is not known is left out. The texts are those of strangers: control characters, and spaces
// in the names, are replaced by underscores, and a text ends after 200 bytes.
func (o Owners) Comments() (list []string) {
	if o.Sender != nil {
		list = append(list, o.Sender.Comment())
	}
	if o.Receiver != nil {
		list = append(list, bounded("to "+o.Receiver.Comment()))
	}
	return list
}

// Said returns what a file says of a packet with these owners, with or without a block of the process:
// that has no place for more than one, and is of the sender if both are known.
func (o Owners) Said(block bool) pcapfile.Said {
	said := pcapfile.Said{Comments: o.Comments()}
	of := o.Receiver
	if o.Sender != nil {
		of, said.PID = o.Sender, o.Sender.PID
	}
	if block && of != nil {
		said.Process = pcapfile.Process{PID: of.PID, Name: plain(of.Name)}
	}
	return said
}

// Comment returns the text of one process; see Owners.Comments.
func (p *Process) Comment() string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			b.WriteString(" " + name + "=" + value)
		}
	}
	field("process", word(p.Name))
	field("pid", strconv.Itoa(p.PID))
	if p.User != "" {
		field("user", word(p.User))
	} else {
		field("user", strconv.FormatUint(uint64(p.UID), 10))
	}
	field("exe", plain(p.Exe))
	return bounded(b.String()[1:])
}

// word returns a text without spaces.
func word(text string) string { return strings.ReplaceAll(plain(text), " ", "_") }

// plain returns a text without what is not shown, such as control characters.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) || r != ' ' && unicode.IsSpace(r) {
			return '_'
		}
		return r
	}, text)
}

// bounded returns at most mostComment bytes of whole characters.
func bounded(text string) string {
	if len(text) <= mostComment {
		return text
	}
	end := mostComment
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
