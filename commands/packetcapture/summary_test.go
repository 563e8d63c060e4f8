package packetcapture_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// The chart of a summary is drawn with what the client's terminal can show: by the locale that it
// sends, or by the terminal's type.
func TestChartFollowsTheLocale(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	content, err := os.ReadFile("testdata/slow.pcap")
	if err == nil {
		err = os.WriteFile(filepath.Join(a.Data, "diagnostic", "slow.pcap"), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	client := a.Login("op")
	for _, c := range []struct {
		environment [][2]string
		term, chart string
		ascii       bool
	}{
		{},
		{environment: [][2]string{{"LANG", "de_DE.UTF-8"}}},
		{environment: [][2]string{{"LANG", "C"}}, ascii: true},
		{environment: [][2]string{{"LANG", "de_DE.UTF-8"}, {"LC_ALL", "POSIX"}}, ascii: true},
		{environment: [][2]string{{"LANG", "de_DE.UTF-8"}, {"LC_CTYPE", "en_US.ISO-8859-1"}}, ascii: true},
		{term: "xterm"},
		{term: "dumb", ascii: true},
		{term: "dumb", environment: [][2]string{{"LC_CTYPE", "C.UTF-8"}}},
		{environment: [][2]string{{"LANG", "C"}}, chart: " chart blocks"},
		{chart: " chart ascii", ascii: true},
	} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range c.environment {
			if err := session.Setenv(variable[0], variable[1]); err != nil {
				t.Fatal(err)
			}
		}
		if c.term != "" {
			if err := session.RequestPty(c.term, 200, 80, ssh.TerminalModes{}); err != nil {
				t.Fatal(err)
			}
		}
		out, err := session.Output("packetcapture summary slow.pcap" + c.chart)
		text := string(out)
		ascii := strings.IndexFunc(text, func(r rune) bool { return r > 126 }) < 0
		if err != nil || ascii != c.ascii || strings.Contains(text, "┤") == c.ascii ||
			strings.Contains(text, " |#") != c.ascii {
			t.Errorf("%v %q%s: %v\n%s", c.environment, c.term, c.chart, err, text)
		}
	}
}

// Tab completes the names of files that were put there by others, as far as they hold packets;
// export takes every file. With such a file there is something to show, though no capture was made.
func TestTabCompletesFiles(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	a := appliance.Start(t, appliance.Options{Network: network})
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(a.Data, "diagnostic", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	offered := func(line string) (texts []string) {
		request, _ := json.Marshal(map[string]any{"line": line, "abbreviate": true})
		status, body := a.API("", "POST", "/v1/complete", string(request))
		var c menu.Completion
		if err := json.Unmarshal([]byte(body), &c); status != http.StatusOK || err != nil {
			t.Fatalf("complete %q: %d %v", line, status, err)
		}
		for _, one := range c.Candidates {
			texts = append(texts, one.Text)
		}
		return texts
	}
	check := func(line string, want ...string) {
		t.Helper()
		if got := offered(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q; want %q", line, got, want)
		}
	}
	content, err := os.ReadFile("testdata/slow.pcap")
	if err != nil {
		t.Fatal(err)
	}
	check("packetcapture sho")
	put("foreign.cap", string(content))
	put("foreign.txt", "words")
	put("foreign and spaced.pcap", string(content))
	put(".foreign.pcap.part", string(content))
	os.Mkdir(filepath.Join(a.Data, "diagnostic", "foreign.folder"), 0o700)
	check("packetcapture sho", "show")
	check("packetcapture show fore", "foreign.cap")
	if r := a.Local("packetcapture start mine interface lo format pcap; packetcapture stop mine; packetcapture " +
		"target new vault url https://127.0.0.1:1/"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	check("packetcapture show fore", "foreign.cap")
	check("packetcapture summary name FORE", "foreign.cap")
	check("packetcapture summary mine", "mine")
	check("packetcapture export fore", "foreign.cap", "foreign.txt")
	if got := offered("packetcapture show mx1-mine-"); len(got) != 1 || !strings.HasSuffix(got[0], ".pcap") {
		t.Errorf("the file of a capture: %q", got)
	}
	// Of more files than are offered at once, those that begin as was typed.
	put("--json", string(content))
	for n := range 1100 {
		put(fmt.Sprintf("aa%04d.pcap", n), string(content))
	}
	check("packetcapture show aa109", "aa1090.pcap", "aa1091.pcap", "aa1092.pcap", "aa1093.pcap", "aa1094.pcap",
		"aa1095.pcap", "aa1096.pcap", "aa1097.pcap", "aa1098.pcap", "aa1099.pcap")
	check("packetcapture export FOREIGN.T", "foreign.txt")
	if got := offered("packetcapture show mx1-mine-"); len(got) != 1 {
		t.Errorf("the file of a capture behind many others: %q", got)
	}
	if got := offered("packetcapture show "); slices.Contains(got, "--json") || len(got) < 1000 {
		t.Errorf("of many files %d are offered, or one that is a flag", len(got))
	}
	term := a.Terminal("op", 80, 24)
	term.Says("mx1> ", "packetcapture show foreign.c\tcount 1")
	term.Reads("packetcapture show foreign.cap count 1")
}
