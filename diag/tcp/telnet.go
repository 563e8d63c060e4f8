package tcp

// Commands and verbs of the telnet protocol (RFC 854, RFC 855).
const (
	iac  = 255 // a command follows
	dont = 254
	do   = 253
	wont = 252
	will = 251
	sb   = 250 // starts a subnegotiation
	se   = 240 // ends it
)

// A negotiator removes the telnet protocol from what the peer sends, and refuses every option. So a
// peer that negotiates gets its answer, and one of another protocol loses none of its text. It is
// for one goroutine.
type negotiator struct {
	state   int
	verb    byte
	refused map[[2]byte]bool // each is refused once, so that two peers who insist do not loop (RFC 1143)
}

// States of a negotiator: what the next byte is.
const (
	inText = iota
	inCommand
	inOption
	inSub
	inSubCommand
	afterCR
)

// take returns the text in p, and the answer to send.
func (n *negotiator) take(p []byte) (text, answer []byte) {
	text = make([]byte, 0, len(p)+1)
	for i := 0; i < len(p); i++ {
		b := p[i]
		switch n.state {
		case afterCR:
			n.state = inText
			if b == 0 {
				continue // CR NUL means CR (RFC 854)
			}
			i--
		case inText:
			switch b {
			case iac:
				n.state = inCommand
			case '\r':
				n.state = afterCR
				text = append(text, b)
			default:
				text = append(text, b)
			}
		case inCommand:
			n.state = inText
			switch {
			case b == iac:
				text = append(text, iac)
			case b == sb:
				n.state = inSub
			case b >= will:
				n.state, n.verb = inOption, b
			case b < se: // no command but a byte of another protocol, which is text
				text = append(text, iac)
				i--
			}
		case inOption:
			n.state = inText
			answer = n.refuse(answer, b)
		case inSub:
			if b == iac {
				n.state = inSubCommand
			}
		case inSubCommand:
			n.state = inSub
			if b == se {
				n.state = inText
			}
		}
	}
	return text, answer
}

// refuse appends the answer to an offer or request. WONT and DONT need none, because options are
// off from the start.
func (n *negotiator) refuse(answer []byte, option byte) []byte {
	verb := byte(wont)
	switch n.verb {
	case will:
		verb = dont
	case do:
	default:
		return answer
	}
	if n.refused == nil {
		n.refused = map[[2]byte]bool{}
	}
	key := [2]byte{verb, option}
	if n.refused[key] {
		return answer
	}
	n.refused[key] = true
	return append(answer, iac, verb, option)
}
