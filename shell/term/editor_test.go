package term

import "testing"

func TestTypingIsEchoedAndAnswered(t *testing.T) {
	p := sit(t, "echo", 40, 6)
	p.sees("h> |")
	p.types("s")
	p.sees("h> s|")
	p.types("tatus")
	p.sees("h> status|")
	p.types("\r")
	p.sees("h> status\n[status]\nh> |")
	p.types("status\r")
	p.sees("h> status\n[status]\nh> status\n[status]\nh> |")
	p.types("\x04")
	p.leaves()
}
