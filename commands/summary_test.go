package commands_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/appliance"
)

// The chart of a summary is drawn with what the client's terminal can show: by the locale that it sends, or by the terminal's type.
func TestChartFollowsTheLocale(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	content, err := os.ReadFile("testdata/captures/slow.pcap")
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
		if err != nil || ascii != c.ascii || strings.Contains(text, "┤") == c.ascii || strings.Contains(text, " |#") != c.ascii {
			t.Errorf("%v %q%s: %v\n%s", c.environment, c.term, c.chart, err, text)
		}
	}
}
