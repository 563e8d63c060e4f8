package firewall

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/test/netnstest"
)

// What a ruleset says is read as nft writes it, and what is not read is named.
func TestRead(t *testing.T) {
	nft := netnstest.Tool(t, "nft")
	ns := netnstest.New(t)
	ns.Do(t, func() {
		load := exec.Command(nft, "-f", "-")
		load.Stdin = strings.NewReader(`
table inet filter {
	set blocked { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7, 203.0.113.1-203.0.113.9 } }
	map ports { type inet_service : verdict; elements = { 22 : accept, 23 : drop } }
	chain input {
		type filter hook input priority -5; policy drop;
		ct state established,related accept
		ct state invalid counter drop comment "odd ones"
		iifname "lo" accept
		iifname "eth*" ip saddr 10.0.0.0/8 drop
		ip saddr 172.16.0.0/12 tcp dport { 22, 80-90, 443 } accept
		ip saddr @blocked log prefix "blocked " drop
		ip6 saddr 2001:db8::/32 udp dport 53 limit rate 10/second burst 5 packets accept
		tcp flags & (fin | syn) == fin | syn drop
		tcp dport vmap @ports
		ip saddr . tcp dport { 192.0.2.1 . 25, 192.0.2.2 . 587 } jump mail
		icmp type 8 accept
		udp dport != 1000-2000 meta mark set 7
		socket transparent 1 accept
		reject with icmpx admin-prohibited
	}
	chain mail {
		counter return
	}
}
table ip nat {
	flags dormant
	chain post {
		type nat hook postrouting priority 100;
		oifname "eth0" masquerade
		ip protocol tcp snat to 192.0.2.9:8080
	}
}
`)
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
		r, err := Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.Tables, []Table{{"inet", "filter", false}, {"ip", "nat", true}}) {
			t.Errorf("the tables are %+v", r.Tables)
		}
		if len(r.Chains) != 3 {
			t.Fatalf("%d chains: %+v", len(r.Chains), r.Chains)
		}
		c := r.Chains[0]
		if c.Family != "inet" || c.Table != "filter" || c.Name != "input" || c.Type != "filter" || c.Hook != "input" || c.Priority != -5 || c.Policy != "drop" {
			t.Errorf("the first chain is %+v", c)
		}
		want := []string{
			`ct state established,related accept`,
			`ct state invalid drop`,
			`iifname "lo" accept`,
			`iifname "eth*" ip saddr 10.0.0.0/8 drop`,
			`ip saddr 172.16.0.0/12 tcp dport { 22, 80-90, 443 } accept`,
			`ip saddr @blocked log prefix "blocked " drop`,
			`ip6 saddr 2001:db8::/32 udp dport 53 limit rate 10/second accept`,
			`tcp flags fin,syn / fin,syn drop`,
			`tcp dport vmap @ports`,
			`ip saddr . tcp dport { 192.0.2.1 . 25, 192.0.2.2 . 587 } jump mail`,
			`icmp type echo-request accept`,
			`udp dport != 1000-2000 meta mark set 0x00000007`,
			`[socket] accept`,
			`reject with icmpx admin-prohibited`,
		}
		for i, rule := range c.Rules {
			if i >= len(want) || rule.Text != want[i] {
				t.Errorf("rule %d is %q", i+1, rule.Text)
			}
		}
		if len(c.Rules) != len(want) {
			t.Errorf("%d rules, not %d", len(c.Rules), len(want))
		} else if odd := c.Rules[1]; odd.Comment != "odd ones" || odd.Packets == nil || *odd.Packets != 0 || c.Rules[0].Packets != nil || odd.Handle == 0 {
			t.Errorf("the second rule is %+v", odd)
		}
		if mail := r.Chains[1]; mail.Hook != "" || len(mail.Rules) != 1 || mail.Rules[0].Text != "return" || mail.Rules[0].Packets == nil {
			t.Errorf("the second chain is %+v", mail)
		}
		if nat := r.Chains[2]; nat.Family != "ip" || nat.Hook != "postrouting" || len(nat.Rules) != 2 ||
			nat.Rules[0].Text != `oifname "eth0" masquerade` || nat.Rules[1].Text != `ip protocol tcp snat to 192.0.2.9:8080` {
			t.Errorf("the third chain is %+v", nat)
		}
		if len(r.Sets) != 2 || !slices.Equal(r.Sets[0].Elements, []string{"192.0.2.0/24", "198.51.100.7", "203.0.113.1-203.0.113.9"}) ||
			!r.Sets[1].Map || !slices.Equal(r.Sets[1].Elements, []string{"22 : accept", "23 : drop"}) {
			t.Errorf("the sets are %+v", r.Sets)
		}
	})
}

// A namespace without rules has none, and no error.
func TestReadNothing(t *testing.T) {
	netnstest.New(t).Do(t, func() {
		if r, err := Read(t.Context()); err != nil || len(r.Tables)+len(r.Chains)+len(r.Sets) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// What the kernel says is trusted, but a wrong byte is no panic.
func FuzzRule(f *testing.F) {
	f.Add([]byte{12, 0, 1, 0, 8, 0, 1, 0, 'c', 'm', 'p', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &set{interval: true, key: []kind{ip4}, anonymous: true}
		s.add(b)
		new(Rule).read("inet", b, func(string) *set { return s })
		for _, k := range []kind{hex, host, network, ip4, ip6, mac, words, protocol, etherType, family, state, icmp} {
			k.write(b)
		}
		commentOf(b)
	})
}

// What somebody wrote by another program than nft is no word of a rule: a prefix that ends its quotes,
// a chain that is called as a verdict.
func TestNames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{quoted(`a" accept`), `["a\" accept"]`},
		{quoted("a\x1b[31m"), `["a\x1b(31m"]`},
		{quoted("a b"), `"a b"`},
		{identifier("in-put.2"), "in-put.2"},
		{identifier("mail accept"), `["mail accept"]`},
		{identifier(""), `[""]`},
		{words.write([]byte("eth")), `"eth*"`},
		{words.write([]byte("eth*\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")), `"eth\*"`},
	} {
		if test.got != test.want {
			t.Errorf("%s, not %s", test.got, test.want)
		}
	}
}

// An interval whose end is among the elements that are not read has none.
func TestIntervalNotRead(t *testing.T) {
	s := set{interval: true, key: []kind{ip4}, more: 1, elements: []element{{key: []byte{10, 0, 0, 0}}}}
	if got := s.texts(); !slices.Equal(got, []string{"10.0.0.0-[not read]", "[1 more]"}) {
		t.Errorf("%q", got)
	}
}
