package firewall

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/test/netnstest"
)

// What is read of a rule is what nft lists of it, or stands in brackets.
func TestReadIsWhatNftLists(t *testing.T) {
	nft := nftOfVersion(t, "v1.0.")
	cases, err := os.ReadFile(filepath.Join("testdata", "rules.nft"))
	if err != nil {
		t.Fatal(err)
	}
	netnstest.New(t).Do(t, func() {
		must(t, nft, chainsOfRules)
		refused := 0
		for line := range strings.Lines(string(cases)) {
			rule := strings.TrimSuffix(strings.TrimSpace(line), " ?")
			if rule == "" || strings.HasPrefix(rule, "#") {
				continue
			}
			if out, err := load(nft, "add rule "+rule); err != nil {
				t.Logf("this kernel refuses %s: %s", rule, out)
				refused++
			}
		}
		r, err := Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		compareRules(t, r, listed(t, nft))
		if refused > 100 {
			t.Errorf("%d rules are refused", refused)
		}
		for _, c := range r.Chains {
			if c.Family == "netdev" && c.Device != "lo" {
				t.Errorf("chain %s is of %q", c.Name, c.Device)
			}
		}
	})
}

// The elements of a set are those that nft lists, or stand in brackets.
func TestElementsAreWhatNftLists(t *testing.T) {
	nft := nftOfVersion(t, "v1.0.")
	sets, err := os.ReadFile(filepath.Join("testdata", "sets.nft"))
	if err != nil {
		t.Fatal(err)
	}
	netnstest.New(t).Do(t, func() {
		must(t, nft, "table inet s {\n"+string(sets)+"}\n")
		r, err := Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Sets {
			kind := map[bool]string{true: "map", false: "set"}[s.Map]
			out, err := exec.Command(nft, "-s", "list", kind, "inet", "s", s.Name).Output()
			if err != nil {
				t.Fatal(s.Name, err)
			}
			_, list, _ := strings.Cut(strings.Join(strings.Fields(string(out)), " "), "elements = { ")
			list, _, _ = strings.Cut(list, " }")
			want := strings.Split(list, ", ")
			got := slices.Clone(s.Elements)
			slices.Sort(got)
			slices.Sort(want)
			for i := range got {
				if len(got) != len(want) || got[i] != want[i] && (!strings.Contains(got[i], "[") || len(got) == 1 && !partly(got[i], want[i])) {
					t.Errorf("the elements of %s are %q, nft has %q", s.Name, got, want)
					break
				}
			}
			if len(got) == 0 {
				t.Errorf("%s has no elements", s.Name)
			}
		}
	})
}

// Of a very long set there are some elements, each of them whole, and how many more.
func TestLongSet(t *testing.T) {
	nft := netnstest.Tool(t, "nft")
	netnstest.New(t).Do(t, func() {
		var list []string
		known := map[string]bool{}
		for i := range 8000 { // each has a beginning and an end
			one := fmt.Sprintf("10.%d.%d.2-10.%d.%d.9", i/256, i%256, i/256, i%256)
			list, known[one] = append(list, one), true
		}
		must(t, nft, "table ip t {\nset x_long { type ipv4_addr; flags interval; elements = { "+strings.Join(list, ", ")+" } }\n}\n")
		r, err := Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		elements := r.Sets[0].Elements
		last := elements[len(elements)-1]
		if len(elements) < 4000 || !regexp.MustCompile(`^\[\d+ more\]$`).MatchString(last) {
			t.Errorf("%d elements, the last is %s", len(elements), last)
		}
		for _, one := range elements[:len(elements)-1] {
			if !known[one] && !strings.HasSuffix(one, "-[not read]") {
				t.Errorf("nobody wrote %s", one)
			}
		}
	})
}

// compareRules compares rules with those that nft lists.
func compareRules(t *testing.T, r Ruleset, listing map[string]string) {
	t.Helper()
	equal, unread := 0, 0
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			key := strings.Join([]string{c.Family, c.Table, c.Name, strconv.FormatUint(rule.Handle, 10)}, " ")
			want, ok := listing[key]
			switch {
			case !ok:
				t.Errorf("nft does not list rule %s", key)
			case sorted(rule.Text) == sorted(want):
				equal++
			case !strings.Contains(rule.Text, "[") || !partly(rule.Text, want):
				t.Errorf("%s:\n  read %s\n  nft  %s", key, rule.Text, want)
			default:
				unread++
			}
		}
	}
	if equal < 2*unread {
		t.Errorf("%d rules are equal, of %d something is in brackets", equal, unread)
	}
}

var braces = regexp.MustCompile(`\{ (.*) \}`)

// sorted puts the elements of a set in order: it has none of its own.
func sorted(text string) string {
	return braces.ReplaceAllStringFunc(text, func(elements string) string {
		list := strings.Split(elements[2:len(elements)-2], ", ")
		slices.Sort(list)
		return "{ " + strings.Join(list, ", ") + " }"
	})
}

var bracketed = regexp.MustCompile(`\[[^\]]*\]`)

// partly reports whether what stands outside of brackets in a rule is in what nft lists, in that order.
func partly(read, nft string) bool {
	for _, part := range bracketed.Split(read, -1) {
		part = strings.TrimSpace(part)
		_, after, ok := strings.Cut(nft, part)
		if !ok {
			return false
		}
		nft = after
	}
	return true
}

// nftOfVersion returns where nft is. Each version writes some rules in words of its own: the test is
// skipped with another than the one that package firewall follows.
func nftOfVersion(t *testing.T, version string) string {
	t.Helper()
	nft := netnstest.Tool(t, "nft")
	if out, err := exec.Command(nft, "--version").Output(); err != nil || !strings.Contains(string(out), version) {
		t.Skipf("%s is not nft %s: %s, %v", nft, version, out, err)
	}
	return nft
}

// load has nft do what a script says.
func load(nft, script string) ([]byte, error) {
	command := exec.Command(nft, "-f", "-")
	command.Stdin = strings.NewReader(script)
	return command.CombinedOutput()
}

func must(t *testing.T, nft, script string) {
	t.Helper()
	if out, err := load(nft, script); err != nil {
		t.Fatalf("%s", out)
	}
}

var (
	handle  = regexp.MustCompile(` # handle (\d+)$`)
	comment = regexp.MustCompile(` comment "[^"]*"$`)
	counter = regexp.MustCompile(`(^| )counter( |$)`)
)

// listed returns what nft lists of each rule, by family, table, chain and handle, without counters and
// comments.
func listed(t *testing.T, nft string) map[string]string {
	t.Helper()
	out, err := exec.Command(nft, "-s", "-a", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err)
	}
	rules, table, chain := map[string]string{}, "", ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		number := handle.FindStringSubmatch(line)
		if number == nil {
			continue
		}
		line = strings.TrimSpace(handle.ReplaceAllString(line, ""))
		fields := strings.Fields(line)
		switch {
		case fields[0] == "table" && strings.HasSuffix(line, "{"):
			table, chain = strings.Join(fields[1:3], " "), ""
		case fields[0] == "chain" && strings.HasSuffix(line, "{"):
			chain = fields[1]
		case slices.Contains([]string{"set", "map", "flowtable", "counter", "quota", "limit"}, fields[0]) && strings.HasSuffix(line, "{"):
		default:
			text := comment.ReplaceAllString(line, "")
			if !strings.Contains(text, "counter name") {
				text = strings.TrimSpace(counter.ReplaceAllString(text, "$1"))
			}
			rules[table+" "+chain+" "+number[1]] = text
		}
	}
	return rules
}

const chainsOfRules = `
table inet t {
	set quad { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 } }
	set ports { type inet_service; }
	set met { type ipv4_addr; size 100; flags dynamic,timeout; timeout 1m; }
	map verdicts { type inet_service : verdict; elements = { 22 : accept } }
	map marks { type ipv4_addr : mark; elements = { 192.0.2.1 : 7 } }
	map mhosts { type inet_service : ipv4_addr; elements = { 80 : 192.0.2.9 } }
	counter chits { }
	quota qmuch { over 10 mbytes }
	limit lslow { rate 5/second }
	chain other { }
	chain pre { type filter hook prerouting priority raw; }
	chain mang { type filter hook prerouting priority mangle; }
	chain inp { type filter hook input priority filter; }
	chain forw { type filter hook forward priority filter; }
	chain outp { type route hook output priority mangle; }
	chain dn { type nat hook prerouting priority dstnat; }
	chain sn { type nat hook postrouting priority srcnat; }
}
table ip t {
	chain inp { type filter hook input priority filter; }
	chain mang { type filter hook prerouting priority mangle; }
	chain dn { type nat hook prerouting priority dstnat; }
	chain sn { type nat hook postrouting priority srcnat; }
}
table ip6 t {
	chain inp { type filter hook input priority filter; }
	chain dn { type nat hook prerouting priority dstnat; }
	chain sn { type nat hook postrouting priority srcnat; }
}
table arp t {
	chain inp { type filter hook input priority filter; }
}
table bridge t {
	chain forw { type filter hook forward priority filter; }
}
table netdev t {
	chain inp { type filter hook ingress device lo priority 0; }
	chain several { type filter hook ingress devices = { lo } priority 1; }
}
`
