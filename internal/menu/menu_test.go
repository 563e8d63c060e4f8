package menu_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][][]string{
		``:                               nil,
		`  ;; `:                          nil,
		`a b`:                            {{"a", "b"}},
		`a; b c ;`:                       {{"a"}, {"b", "c"}},
		`f 'port 25; x' "say \"hi\" \n"`: {{"f", "port 25; x", `say "hi" \n`}},
		`a\ b \;c`:                       {{"a b", ";c"}},
		`x''`:                            {{"x"}},
		`''`:                             {{""}},
	} {
		commands, err := menu.Split(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		var got [][]string
		for _, c := range commands {
			var words []string
			for _, w := range c {
				words = append(words, w.Text)
			}
			got = append(got, words)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Split(%q) = %q, want %q", line, got, want)
		}
	}
	for _, line := range []string{`a 'b`, `a "b`, `a \`, strings.Repeat("x", 1<<17)} {
		if _, err := menu.Split(line); menu.AsError(err) == nil || menu.AsError(err).Code != menu.Usage {
			t.Errorf("Split(%.10q) took it: %v", line, err)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`a 'b c' "d\"" ; e\ f`)
	f.Fuzz(func(t *testing.T, line string) {
		commands, err := menu.Split(line)
		if err != nil {
			return
		}
		// What was read, written with quotes, reads the same.
		for _, c := range commands {
			var parts []string
			for _, w := range c {
				parts = append(parts, menu.Quote(w.Text))
			}
			again, err := menu.Split(strings.Join(parts, " "))
			if err != nil || len(again) != 1 || len(again[0]) != len(c) {
				t.Fatalf("%q: %v %v", parts, again, err)
			}
			for i := range c {
				if again[0][i].Text != c[i].Text {
					t.Fatalf("%q became %q", c[i].Text, again[0][i].Text)
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	tree := newBench().tree
	f.Add("network ping localhost count 3 --json; net pi x")
	f.Fuzz(func(t *testing.T, line string) {
		tree.Parse(nil, line, true, nil)
		tree.Complete(t.Context(), menu.Caller{}, nil, line, func(menu.Role) bool { return true })
	})
}

func TestParse(t *testing.T) {
	tree := newBench().tree
	for _, c := range []struct {
		at, line   string
		abbreviate bool
		want       string // the calls as JSON, or the error
	}{
		{"", "network", false, `[{"path":["network"],"menu":true}]`},
		{"", "NETWORK Ping example.net count 3", false,
			`[{"path":["network","ping"],"arguments":{"count":"3","host":"example.net"}}]`},
		{"", "network ECHO host example.net", false,
			`[{"path":["network","echo"],"arguments":{"host":"example.net"}}]`},
		{"", "--json network list; network list", false,
			`[{"path":["network","list"],"json":true},{"path":["network","list"]}]`},
		{"", "network ping '--json'", false, `[{"path":["network","ping"],"arguments":{"host":"--json"}}]`},
		{"", "network ping x password s3cret", false,
			`[{"path":["network","ping"],"arguments":{"host":"x","password":"s3cret"},"secret":true}]`},
		{"network", "ping 'count' count 2", false,
			`[{"path":["network","ping"],"arguments":{"count":"2","host":"count"}}]`},
		{"", "netw pi x cou 2", true, `[{"path":["network","ping"],"arguments":{"count":"2","host":"x"}}]`},
		{"", "netw", false, `"netw" is not known here. Type ? or help to see what is.`},
		{"", "net", true, `"net" is not unique here. It could be network or netflow.`},
		{"", "netwrok", true, `"netwrok" is not known here. Did you mean network?`},
		{"", "network ping x y", false,
			`ping has no argument "y". It takes host, count, size, wait, interface, family, password, names, confirm.`},
		{"", "network ping count 2 x", false, `[{"path":["network","ping"],"arguments":{"count":"2","host":"x"}}]`},
		{"", "network ping count 2 x y", false,
			`ping has no argument "y". It takes host, count, size, wait, interface, family, password, names, confirm.`},
		{"", "network ping count 2 siz 3", false, `ping has no argument "siz". Did you mean size?`},
		{"", "network ping cout 3", false, `ping has no argument "cout". Did you mean count?`},
		{"", "network ping x cout 3", false, `ping has no argument "cout". Did you mean count?`},
		{"", "network ping x count", false, `The value of count is missing. Write count COUNT.`},
		{"", "network ping x count 1 count 2", false, `count is given twice.`},
		{"", "network list x", false, `list has no argument "x". It takes none.`},
		{"", "network list; netwrok", false, `"netwrok" is not known here. Did you mean network? Nothing was run.`},
		{"", "network list; network list x", false, `list has no argument "x". It takes none. Nothing was run.`},
		{"nowhere", "list", false, `There is no menu "nowhere".`},
	} {
		calls, err := tree.Parse(strings.Fields(c.at), c.line, c.abbreviate, nil)
		got, _ := json.Marshal(calls)
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != c.want {
			t.Errorf("%q at %q:\n got %s\nwant %s", c.line, c.at, got, c.want)
		}
	}
}

// TestSuggestsWhatIsUsable: the suggestion for a mistyped word is something that the caller can
// use.
func TestSuggestsWhatIsUsable(t *testing.T) {
	b := newBench()
	for role, want := range map[menu.Role]string{
		menu.Administrator: `"lsit" is not known here. Did you mean list?`,
		"nobody":           `"lsit" is not known here. Type ? or help to see what is.`,
	} {
		usable := menu.Usable(t.Context(), menu.Caller{Role: role},
			func(menu.Role) bool { return role == menu.Administrator })
		_, err := b.tree.Parse([]string{"network"}, "lsit", false, usable)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// TestKeywordAlone: a keyword of a yes or no without a value means yes.
func TestKeywordAlone(t *testing.T) {
	b := newBench()
	for line, want := range map[string]menu.Arguments{
		"ping h names":              {"host": "h", "names": "yes"},
		"ping h names count 3":      {"host": "h", "names": "yes", "count": "3"},
		"ping h count 3 names":      {"host": "h", "names": "yes", "count": "3"},
		"ping h names no":           {"host": "h", "names": "no"},
		"ping h names 'count'":      {"host": "h", "names": "count"},
		"ping h names maybe":        {"host": "h", "names": "maybe"},
		"ping names":                {"names": "yes"},
		"ping 'names' names":        {"host": "names", "names": "yes"},
		"ping h names --json":       {"host": "h", "names": "yes"},
		"ping host names names yes": {"host": "names", "names": "yes"},
	} {
		calls, err := b.tree.Parse([]string{"network"}, line, false, nil)
		if err != nil || !reflect.DeepEqual(calls[0].Arguments, want) {
			t.Errorf("%s: %v, %v; want %v", line, calls, err, want)
		}
	}
	for _, line := range []string{"ping h confirm", "ping h count", "ping h names names"} {
		if _, err := b.tree.Parse([]string{"network"}, line, false, nil); err == nil {
			t.Errorf("%s was understood", line)
		}
	}
	found := b.tree.Complete(t.Context(), menu.Caller{}, []string{"network"}, "ping 192.0.2.1 names ",
		func(menu.Role) bool { return true })
	var words []string
	for _, c := range found.Candidates {
		words = append(words, c.Text)
	}
	if want := "yes no count size wait interface family password confirm"; strings.Join(words, " ") != want {
		t.Errorf("behind names stand %v, want %s", words, want)
	}
}

func TestDialogue(t *testing.T) {
	b := newBench()
	given := menu.Arguments{}
	var asked []string
	for range 10 {
		q, err := b.ping().Next(t.Context(), menu.Caller{}, given, menu.AskAll)
		if err != nil {
			t.Fatal(err)
		}
		if q == nil {
			break
		}
		asked = append(asked, q.Name+" "+q.Text+" ["+q.Default+"]")
		given[q.Name], err = q.Answer(map[string]string{"host": "example.net", "size": "3", "interface": "1,ETH1",
			"confirm": "y"}[q.Name])
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"host Host to ping []", "size Size [2]", "interface Interfaces []",
		"confirm Ping example.net? [N]"}
	if !reflect.DeepEqual(asked, want) {
		t.Fatalf("asked %q, want %q", asked, want)
	}
	if err := b.ping().Run(t.Context(), menu.Caller{}, given, nil, &page{}); err != nil {
		t.Fatal(err)
	}
	if b.got.Host != "example.net" || *b.got.Size != 3<<20 || b.got.Count != 4 ||
		!reflect.DeepEqual(b.got.Via, []string{"eth0", "eth1"}) || b.got.Wait != nil {
		t.Errorf("ran with %+v", b.got)
	}
}

func TestDialogueAsksOnlyWhatIsNeeded(t *testing.T) {
	q, err := newBench().ping().Next(t.Context(), menu.Caller{}, menu.Arguments{"host": "localhost"}, menu.AskNeeded)
	if err != nil || q == nil || q.Name != "confirm" {
		t.Errorf("asked %+v, %v; want the confirmation alone", q, err)
	}
}

func TestRefusedArguments(t *testing.T) {
	b := newBench()
	for _, c := range []struct {
		args     menu.Arguments
		argument string
		says     string
	}{
		{menu.Arguments{}, "host", "missing"},
		{menu.Arguments{"host": "x"}, "confirm", "confirm yes"},
		{menu.Arguments{"host": ""}, "host", "answer is needed"},
		{menu.Arguments{"host": "a!b"}, "host", "no host"},
		{menu.Arguments{"host": "x", "count": "11"}, "count", "from 1 to 10"},
		{menu.Arguments{"host": "x", "count": "many"}, "count", "whole number"},
		{menu.Arguments{"host": "x", "size": "3 bags"}, "size", "200MB"},
		{menu.Arguments{"host": "x", "size": "99999999999999TB"}, "size", "disk"},
		{menu.Arguments{"host": "x", "wait": "soon"}, "wait", "60s"},
		{menu.Arguments{"host": "x", "interface": "eth0,eth7"}, "interface", "not one of the choices"},
		{menu.Arguments{"host": "x", "family": "ip5"}, "family", "ip4 or ip6"},
		{menu.Arguments{"host": "x", "confirm": "perhaps"}, "confirm", "yes nor no"},
		{menu.Arguments{"host": "x", "bogus": "1"}, "bogus", "no argument"},
	} {
		err := b.ping().Run(t.Context(), menu.Caller{}, c.args, nil, &page{})
		var e *menu.Error
		if !errors.As(err, &e) || e.Code != menu.Usage || e.Argument != c.argument ||
			!strings.Contains(e.Error(), c.says) {
			t.Errorf("%v: %+v, want %q blamed with %q", c.args, err, c.argument, c.says)
		}
	}
	if b.ran != 0 {
		t.Errorf("the command ran %d times on refused arguments", b.ran)
	}
}

func TestUnconfirmedChangesNothing(t *testing.T) {
	b := newBench()
	err := b.ping().Run(t.Context(), menu.Caller{}, menu.Arguments{"host": "x", "confirm": "no"}, nil, &page{})
	if e := menu.AsError(err); e == nil || e.Code != menu.Failed || e.Argument != "" || b.ran != 0 {
		t.Errorf("ran %d times, %v", b.ran, err)
	}
}

func TestFormsOfOutput(t *testing.T) {
	b := newBench()
	args := menu.Arguments{"host": "x", "count": "2", "confirm": "yes"}
	text, records := &page{}, &page{form: menu.JSONForm}
	for _, p := range []*page{text, records} {
		if err := b.ping().Run(t.Context(), menu.Caller{}, args, nil, p); err != nil {
			t.Fatal(err)
		}
	}
	if text.text.String() != "x 0\nx 1\n" || len(text.rows) != 0 {
		t.Errorf("text %q, %d records", text.text.String(), len(text.rows))
	}
	if !reflect.DeepEqual(records.rows, []any{echo{"x", 0}, echo{"x", 1}}) || records.text.Len() != 0 {
		t.Errorf("records %v, text %q", records.rows, records.text.String())
	}
	empty := &page{}
	list := b.tree.Find([]string{"network", "list"}).(*menu.Command)
	if err := list.Run(t.Context(), menu.Caller{}, nil, nil, empty); err != nil || empty.text.String() != "0 rows\n" {
		t.Errorf("an empty table says %q, %v", empty.text.String(), err)
	}
}

func TestJSONArguments(t *testing.T) {
	c := newBench().ping()
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(
		`{"host":"x","count":3,"size":4096,"wait":90,"interface":["eth0","ALL"],"confirm":true}`))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		t.Fatal(err)
	}
	got, err := c.FromJSON(object)
	want := menu.Arguments{"host": "x", "count": "3", "size": "4096B", "wait": "90", "interface": "eth0,ALL",
		"confirm": "yes"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, wrong := range []map[string]any{{"host": map[string]any{}}, {"nosuch": "x"}, {"count": []any{"1"}},
		{"interface": []any{"a,b"}}, {"host": nil}} {
		if _, err := c.FromJSON(wrong); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	c := newBench().ping()
	masked := c.Masked(menu.Arguments{"host": "x", "password": "s3cret"})
	if masked["host"] != "x" || strings.Contains(masked["password"], "s3cret") {
		t.Errorf("masked: %v", masked)
	}
	if !c.HasSecret(menu.Arguments{"password": "x"}) || c.HasSecret(menu.Arguments{"host": "x"}) {
		t.Error("HasSecret is wrong")
	}
}

// A private key is masked wherever it was pasted, whole or not.
func TestPrivateKeysAreMasked(t *testing.T) {
	c := newBench().ping()
	const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
	for text, want := range map[string]string{
		certificate: certificate,
		certificate + "-----BEGIN EC PRIVATE KEY-----\ns3cret\n-----END EC PRIVATE KEY-----\n" + certificate: certificate + "******\n" + certificate,
		"-----BEGIN PRIVATE KEY-----\r\ns3cret":                    "******",
		"x -----BEGIN ENCRYPTED PRIVATE KEY----- s3cret\n-----END": "x ******",
	} {
		args := menu.Arguments{"host": text}
		if got := c.Masked(args)["host"]; got != want || c.HasSecret(args) != (want != text) {
			t.Errorf("%q becomes %q, a secret: %v", text, got, c.HasSecret(args))
		}
	}
}

// TestSecretsOfURLsAreMasked: a secret in a URL is masked in any argument, also if nothing was
// escaped.
func TestSecretsOfURLsAreMasked(t *testing.T) {
	c := newBench().ping()
	for text, want := range map[string]string{
		"sftp://me:s3cret@host/folder":             "sftp://me:******@host/folder",
		"HTTPS://me:s3cret@host:8443/a":            "HTTPS://me:******@host:8443/a",
		"sftp://me:s3/cr@e:t?@host/":               "sftp://me:******@host/",
		"sftp://me:s3 cret@host/":                  "sftp://me:******@host/",
		"sftp://:s3cret@":                          "sftp://:******@",
		"https://host/put?sig=s3cret":              "https://host/put?******",
		"see https://a:s3cret@b/ and ftp://c:s3@d": "see https://a:******@b/ and ftp://c:******@d",
		`"sftp://me:s3cret@host/" is no name`:      `"sftp://me:******@host/" is no name`,
		"sftp://me@host:22/":                       "sftp://me@host:22/",
		"https://host:8443/a/b":                    "https://host:8443/a/b",
		"host 192.0.2.1 and port 25":               "host 192.0.2.1 and port 25",
	} {
		if got := menu.MaskedText(text); got != want {
			t.Errorf("%q becomes %q; want %q", text, got, want)
		}
		args := menu.Arguments{"host": text}
		if got := c.Masked(args)["host"]; got != want || c.HasSecret(args) != (want != text) {
			t.Errorf("the argument %q becomes %q, a secret: %v", text, got, c.HasSecret(args))
		}
	}
}

func TestRoles(t *testing.T) {
	// what a role includes: administrator, operator, support, readonly, undeclared, unknown
	want := map[menu.Role]string{
		menu.Administrator: "yyyyyy", menu.Operator: "nyyynn", menu.Support: "nyyynn", menu.ReadOnly: "nnnynn",
		"": "nnnnnn", "root": "nnnnnn",
	}
	for role, answers := range want {
		got := ""
		for _, required := range []menu.Role{menu.Administrator, menu.Operator, menu.Support, menu.ReadOnly, "",
			"bogus"} {
			got += map[bool]string{true: "y", false: "n"}[role.Includes(required)]
		}
		if got != answers {
			t.Errorf("%q includes %s, want %s", role, got, answers)
		}
	}
}

func TestMenuNeedsWhatItsEasiestItemNeeds(t *testing.T) {
	tree := newBench().tree
	if got := tree.Find([]string{"network"}).Required(); got != menu.ReadOnly {
		t.Errorf("network requires %q", got)
	}
	if got := tree.Find([]string{"netflow"}).Required(); got != menu.Administrator {
		t.Errorf("netflow, whose only command declares no role, requires %q", got)
	}
}

func TestComplete(t *testing.T) {
	tree := newBench().tree
	operator := func(r menu.Role) bool { return menu.Operator.Includes(r) }
	for line, want := range map[string]string{
		"":                               "0:network",
		"n":                              "0:network",
		"network ":                       "8:ping list",
		"network p":                      "8:ping",
		"net":                            "0:network",
		"network ping x ":                "15:count size wait interface family password names confirm",
		"network ping x f":               "15:family",
		"network ping x family ":         "22:ip4 ip6",
		"network ping x family ip4 si":   "26:size",
		"network ping x interface e":     "25:eth0 eth1",
		"network ping x interface eth0,": "25:eth0,eth0 eth0,eth1 eth0,ALL",
		"network ping x confirm ":        "23:yes no",
		"network list; network l":        "22:list",
		"nosuch ":                        "7:",
		"network ping 'x":                "14:",
	} {
		c := tree.Complete(t.Context(), menu.Caller{}, nil, line, operator)
		var texts []string
		for _, candidate := range c.Candidates {
			texts = append(texts, candidate.Text)
		}
		if got := fmt.Sprintf("%d:%s", c.Start, strings.Join(texts, " ")); got != want {
			t.Errorf("Complete(%q) = %s, want %s", line, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	text, err := newBench().tree.HelpText([]string{"network", "ping"}, func(menu.Role) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"NETWORK > PING - Ping a host.", "operator and above", "network ping [host] HOST",
		"[size SIZE]", "default 4", "ip4 or ip6", "confirm yes|no"} {
		if !strings.Contains(text, part) {
			t.Errorf("the help lacks %q:\n%s", part, text)
		}
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]menu.Size{"0": 0, "7": 7 << 20, "7B": 7, "2KB": 2048, "2k": 2048, "1GB": 1 << 30,
		"3 MB": 3 << 20} {
		if got, err := menu.ParseSize(text, "MB"); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "MB", "1.5MB", "1XB", "9223372036854775807MB"} {
		if got, err := menu.ParseSize(text, ""); err == nil {
			t.Errorf("ParseSize(%q) = %d", text, got)
		}
	}
	for text, want := range map[string]time.Duration{"60": time.Minute, "5m 30s": 330 * time.Second,
		"4h": 4 * time.Hour, "2d": 48 * time.Hour, "250ms": 250 * time.Millisecond,
		"0.2": 200 * time.Millisecond, ".5s": 500 * time.Millisecond, "1.5h": 90 * time.Minute, "2.": 2 * time.Second,
		"1m0.25s": 60250 * time.Millisecond} {
		got, err := menu.ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v", text, got, err)
		}
		if back, err := menu.ParseDuration(menu.FormatDuration(got)); err != nil || back != got {
			t.Errorf("%s written as %s reads as %s", got, menu.FormatDuration(got), back)
		}
	}
	for _, text := range []string{"", "s", "5x", "-5", ".", ".s", "1.2.3", "1,5", "1e3",
		strings.Repeat("9", 12) + "d"} {
		if got, err := menu.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %s", text, got)
		}
	}
}
