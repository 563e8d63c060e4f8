package netstat

import (
	"strings"
	"testing"
)

// Whatever somebody named or noted in the rules, nothing of it moves a terminal.
func TestFirewallTextIsClean(t *testing.T) {
	const odd = "a\x1b[2Jb\r\n\u202ec"
	number, priority := uint64(1), int32(0)
	for _, row := range []firewallRow{
		{Type: "table", Family: "ip", Table: odd},
		{Type: "set", Set: odd, Elements: []string{odd}},
		{Type: "chain", Chain: odd, Hook: "ingress", HookType: "filter", Device: odd, Priority: &priority, Policy: "drop"},
		{Type: "rule", Rule: odd, Comment: odd, Packets: &number, Bytes: &number},
		{Type: "iptables", Family: "ip", Table: odd},
	} {
		var b strings.Builder
		firewallText(&b, row)
		line, ok := strings.CutSuffix(b.String(), "\n")
		if !ok || strings.ContainsAny(line, "\x1b\r\n\u202e") || !strings.Contains(line, "2Jb") {
			t.Errorf("a %s is %q", row.Type, b.String())
		}
	}
}
