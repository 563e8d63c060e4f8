package filter

import (
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"
)

// token is one word of an expression.
type token struct {
	kind  tokenKind
	value uint32 // the number, or for words of one kind which one (a protocol, a direction ...)
	pos   int    // byte offset
	text  string // as written; for an escaped name without the backslash
}

// lex splits an expression. The rules are those of a longest-match scanner where, at equal length,
// the first of address, keyword, name wins. It never fails: a word that is wrong becomes a
// tokenError that carries the message, so that errors further left are reported first.
func lex(expression string) []token {
	tokens := make([]token, 0, len(expression)/3+4)
	for pos := 0; ; {
		for pos < len(expression) && isSpace(expression[pos]) {
			pos++
		}
		if pos == len(expression) {
			return append(tokens, token{kind: tokenEnd, pos: pos})
		}
		t, n := scan(expression[pos:])
		t.pos = pos
		tokens = append(tokens, t)
		if t.kind == tokenError {
			return tokens
		}
		pos += n
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
func isAlnum(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func lexError(format string, args ...any) token {
	return token{kind: tokenError, text: fmt.Sprintf(format, args...)}
}

// scan reads one token at the start of s and returns it with its length.
func scan(s string) (token, int) {
	switch c := s[0]; {
	case c == ':' || isHex(c):
		if t, n := scanAddress(s); n > 0 {
			return t, n
		}
		if c == ':' {
			return token{kind: tokenColon, text: ":"}, 1
		}
		return scanWord(s)
	case isAlnum(c):
		return scanWord(s)
	case c == '\\':
		n := 1
		for n < len(s) && s[n] != ' ' && s[n] != '!' && s[n] != '(' && s[n] != ')' && s[n] != '\n' && s[n] != '\t' {
			n++
		}
		if n == 1 {
			return lexError(`"\" must be followed by a name, as in "ip proto \tcp"`), 0
		}
		return token{kind: tokenName, text: s[1:n]}, n
	case c == '$':
		n := 1
		for n < len(s) && n < 3 && isHex(s[n]) {
			n++
		}
		if n == 1 {
			return lexError(`"$" must be followed by an ARCnet address of one or two hexadecimal digits`), 0
		}
		return token{kind: tokenARCnet, text: s[:n]}, n
	}
	if len(s) > 1 {
		if k := twoByteOperator(s[:2]); k != tokenError {
			return token{kind: k, text: s[:2]}, 2
		}
	}
	if k := oneByteOperator(s[0]); k != tokenError {
		return token{kind: k, text: s[:1]}, 1
	}
	r, n := utf8.DecodeRuneInString(s)
	if isOtherLetter(r) {
		return scanWord(s)
	}
	return lexError("%q does not belong in a filter expression", s[:n]), n
}

func twoByteOperator(s string) tokenKind {
	switch s {
	case "&&":
		return tokenAnd
	case "||":
		return tokenOr
	case ">=":
		return tokenGE
	case "<=":
		return tokenLE
	case "!=":
		return tokenNE
	case "==":
		return tokenEQ
	case "<<":
		return tokenLsh
	case ">>":
		return tokenRsh
	}
	return tokenError
}

func oneByteOperator(c byte) tokenKind {
	switch c {
	case '!':
		return tokenNot
	case '(':
		return tokenOpen
	case ')':
		return tokenClose
	case '[':
		return tokenOpenIndex
	case ']':
		return tokenCloseIndex
	case '/':
		return tokenSlash
	case '+':
		return tokenPlus
	case '-':
		return tokenMinus
	case '*':
		return tokenStar
	case '%':
		return tokenPercent
	case '^':
		return tokenCaret
	case '&':
		return tokenAmp
	case '|':
		return tokenBar
	case '<':
		return tokenLT
	case '>':
		return tokenGT
	case '=':
		return tokenEQ
	}
	return tokenError
}

// scanWord reads a number, an IPv4 address or part of one, a keyword or a name.
func scanWord(s string) (token, int) {
	name := nameLength(s)
	if isDigit(s[0]) {
		if n := quadLength(s); n >= name {
			return token{kind: tokenQuad, text: s[:n]}, n
		}
		if n := numberLength(s); n >= name {
			return scanNumber(s[:n]), n
		}
	}
	word := s[:name]
	t := keyword(word)
	t.text = word
	return t, name
}

// nameLength returns the length of the name at the start of s: letters of any language, digits,
// dots, and inside it hyphens and underscores.
func nameLength(s string) int {
	end := 0
	for i, r := range s {
		if r < utf8.RuneSelf && isAlnum(byte(r)) || r == '.' || isOtherLetter(r) {
			end = i + utf8.RuneLen(r)
		} else if r != '-' && r != '_' {
			break
		}
	}
	return max(end, 1)
}

// isOtherLetter tells what names of hosts in other languages are made of, which libpcap does not
// know. What looks like ASCII's quotation marks or dashes is none.
func isOtherLetter(r rune) bool {
	return r >= utf8.RuneSelf && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r))
}

// numberLength returns the length of the decimal, octal or 0x number at the start of s.
func numberLength(s string) int {
	n := 0
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && isHex(s[2]) {
		for n = 2; n < len(s) && isHex(s[n]); n++ {
		}
		return n
	}
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// quadLength returns the length of two, three or four numbers joined by dots at the start of s, or
// 0.
func quadLength(s string) int {
	end := numberLength(s)
	for parts := 1; parts < 4; parts++ {
		if end >= len(s) || s[end] != '.' {
			break
		}
		n := numberLength(s[end+1:])
		if n == 0 {
			break
		}
		end += 1 + n
	}
	if end == numberLength(s) {
		return 0
	}
	return end
}

func scanNumber(s string) token {
	base, digits := uint64(10), s
	switch {
	case len(s) > 2 && (s[1] == 'x' || s[1] == 'X'):
		base, digits = 16, s[2:]
	case s[0] == '0':
		base = 8
	}
	var v uint64
	for i := 0; i < len(digits); i++ {
		var d uint64
		switch c := digits[i]; {
		case isDigit(c):
			d = uint64(c - '0')
		case c >= 'a':
			d = uint64(c-'a') + 10
		default:
			d = uint64(c-'A') + 10
		}
		if d >= base {
			return lexError("%q starts with 0 and so is octal, where %q is not a digit", s, digits[i:i+1])
		}
		if v = v*base + d; v > math.MaxUint32 {
			return lexError("number %q does not fit 32 bits", s)
		}
	}
	return token{kind: tokenNumber, value: uint32(v), text: s}
}

// scanAddress reads an Ethernet or IPv6 address where that is the longest match at the start of s.
func scanAddress(s string) (token, int) {
	other := 0 // what a name, number or quad would take
	if s[0] != ':' {
		other = nameLength(s)
	}
	ether := etherLength(s)
	v6 := ipv6Length(s)
	bad := colonsLength(s)
	longest := max(ether, v6, bad)
	switch {
	case longest == 0 || longest < other:
		return token{}, 0
	case ether == longest:
		return token{kind: tokenEther, text: s[:ether]}, ether
	case v6 == longest:
		return token{kind: tokenIPv6, text: s[:v6]}, v6
	}
	return lexError("%q is neither an Ethernet address (six bytes such as 02:00:00:00:00:0a) nor an IPv6 address",
		s[:bad]), bad
}

// etherLength returns the length of an Ethernet address at the start of s: twelve hexadecimal
// digits, three groups of four joined by dots, or six of one or two joined by colons, hyphens or
// dots.
func etherLength(s string) int {
	best := 0
	if n := hexRun(s, 12); n == 12 {
		best = 12
	}
	if hexRun(s, 4) == 4 && len(s) >= 14 && s[4] == '.' && hexRun(s[5:], 4) == 4 && s[9] == '.' &&
		hexRun(s[10:], 4) == 4 {
		best = 14
	}
	n := hexRun(s, 2)
	if n == 0 || n >= len(s) || s[n] != ':' && s[n] != '-' && s[n] != '.' {
		return best
	}
	separator := s[n]
	for group := 1; group < 6; group++ {
		if n >= len(s) || s[n] != separator {
			return best
		}
		g := hexRun(s[n+1:], 2)
		if g == 0 {
			return best
		}
		n += 1 + g
	}
	return max(best, n)
}

// hexRun counts hexadecimal digits at the start of s, at most limit.
func hexRun(s string, limit int) int {
	n := 0
	for n < len(s) && n < limit && isHex(s[n]) {
		n++
	}
	return n
}

// colonsLength returns the length of something that can only have been meant as an Ethernet
// address: at least two groups of hexadecimal digits, each followed by colons.
func colonsLength(s string) int {
	end, groups := 0, 0
	for i := 0; ; {
		n := hexRun(s[i:], 2)
		if n == 0 {
			break
		}
		i += n
		colons := i
		for i < len(s) && s[i] == ':' {
			i++
		}
		if i == colons {
			break
		}
		if groups++; groups >= 2 {
			end = i
		}
	}
	return end
}

// ipv6Length returns the length of the longest IPv6 address at the start of s, or 0.
func ipv6Length(s string) int {
	best, groups, i := 0, 0, 0
	elided := false
	if len(s) >= 2 && s[0] == ':' && s[1] == ':' {
		elided, i, best = true, 2, 2
	} else if s[0] == ':' {
		return 0
	}
	for groups < 8 {
		n := hexRun(s[i:], 4)
		if n == 0 {
			break
		}
		// An IPv4 address takes the place of the last two groups.
		if q := fullQuad(s[i:]); q > 0 && (elided && groups <= 5 || groups == 6) {
			best = max(best, i+q)
		}
		i += n
		groups++
		if elided && groups <= 7 || groups == 8 {
			best = max(best, i)
		}
		if i+1 < len(s) && s[i] == ':' && s[i+1] == ':' && !elided && groups <= 7 {
			elided = true
			i += 2
			best = max(best, i)
		} else if i < len(s) && s[i] == ':' {
			i++
		} else {
			break
		}
	}
	return best
}

// fullQuad returns the length of a dotted quad with all four numbers at the start of s, or 0.
func fullQuad(s string) int {
	n := quadLength(s)
	dots := 0
	for i := 0; i < n; i++ {
		if s[i] == '.' {
			dots++
		}
	}
	if dots != 3 {
		return 0
	}
	return n
}
