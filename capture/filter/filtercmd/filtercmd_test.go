package filtercmd

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"

	"diagsh/internal/test/netnstest"
)

func run(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = Main(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func TestListings(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"ip"},
			"(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n(002) ret      #262144\n(003) ret      #0\n"},
		{[]string{"-dd", ""}, "{ 0x6, 0, 0, 0x00040000 },\n"},
		{[]string{"-y", "linux_sll2", "-s", "96", "-ddd", "ip"}, "4\n40 0 0 0\n21 0 1 2048\n6 0 0 96\n6 0 0 0\n"},
		{[]string{"-y", "101", "-ddd", "ip"}, "5\n48 0 0 0\n84 0 0 240\n21 0 1 64\n6 0 0 262144\n6 0 0 0\n"},
		{[]string{"-y", "113", "-s", "0", "-ddd", "ip"}, "4\n40 0 0 14\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n"},
	} {
		status, stdout, stderr := run(t, "", test.args...)
		if status != 0 || stdout != test.want {
			t.Errorf("%q: status %d\n%s%s\nwant\n%s", test.args, status, stdout, stderr, test.want)
		}
	}
}

// What tcpdump is asked with the same words, it answers with the same lines,
// where there is only one shortest program.
func TestListingsAreTcpdumps(t *testing.T) {
	tcpdump := netnstest.Tool(t, "tcpdump")
	for _, args := range [][]string{
		{"-d", "ip"}, {"-dd", "ip6"}, {"-ddd", "arp"}, {"-d", "-y", "LINUX_SLL", "ip"}, {"-d", "-s", "77", "ip"},
		{"-d", "len > 100"},
	} {
		want, err := exec.Command(tcpdump, append([]string{"-y", "EN10MB"}, args...)...).Output()
		if err != nil {
			t.Fatalf("tcpdump %q: %v", args, err)
		}
		if status, stdout, stderr := run(t, "", args...); status != 0 || stdout != string(want) {
			t.Errorf("%q:\n%s%s\ntcpdump\n%s", args, stdout, stderr, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		stderr string // a part of it
	}{
		{[]string{"prot 80"}, exitFailed, "  prot 80\n  ^\n"},
		{[]string{"tcp port nosuchservice"}, exitFailed, "nosuchservice"},
		{[]string{"-y", "TOKENRING", "ip"}, exitWrongWords, `no link type "TOKENRING", there are EN10MB`},
		{[]string{"-y", "6", "ip"}, exitWrongWords, `no link type "6"`},
		{[]string{"--kind", "savefile", "inbound"}, exitFailed, "inbound"},
		{[]string{"--kind", "open", "ip"}, exitWrongWords, `no kind "open"`},
		{[]string{"--netmask", "255.255.255.0", "ip"}, exitWrongWords, `netmask "255.255.255.0"`},
		{[]string{"-s", "262145", "ip"}, exitWrongWords, "262145"},
		{[]string{"--names", "/nosuch", "ip"}, exitWrongWords, "/nosuch"},
		{[]string{"--batch", "ip"}, exitWrongWords, "standard input"},
		{[]string{"-x"}, exitWrongWords, "usage:"},
	} {
		status, stdout, stderr := run(t, "", test.args...)
		if status != test.status || stdout != "" || !strings.Contains(stderr, test.stderr) || stderr == "" {
			t.Errorf("%q: status %d, %q, %q", test.args, status, stdout, stderr)
		}
	}
	if status, stdout, _ := run(t, "", "-h"); status != exitDone || stdout != usage {
		t.Errorf("-h: status %d, %q", status, stdout)
	}
}

func TestBatch(t *testing.T) {
	stdin := "ip\nprot 80\nip protochain 6\nhost alpha and port www\n\nip broadcast\nhost localhost.nosuch.invalid"
	status, stdout, stderr := run(t, stdin, "--batch", "--names", "../testdata/corpus/names", "--netmask", "unknown")
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	want := []struct {
		expression string
		ok, kernel bool
		position   int
	}{
		{"ip", true, true, 0},
		{"prot 80", false, false, 0},
		{"ip protochain 6", true, false, 0},
		{"host alpha and port www", true, true, 0},
		{"", true, true, 0},
		{"ip broadcast", false, false, 0},
		{"host localhost.nosuch.invalid", false, false, 5},
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines for %d expressions:\n%s", len(lines), len(want), stdout)
	}
	for i, w := range want {
		var got result
		d := json.NewDecoder(strings.NewReader(lines[i]))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if got.Expression != w.expression || got.OK != w.ok || got.Kernel != w.kernel || got.Position != w.position ||
			(got.Error == "") != w.ok || (len(got.Program) > 0) != w.ok {
			t.Errorf("%s, want %+v", lines[i], w)
		}
	}
	if lines[0] != `{"expression":"ip","ok":true,"error":"","position":0,"kernel":true,"program":[[40,0,0,12],[21,0,1,2048],[6,0,0,262144],[6,0,0,0]]}` {
		t.Errorf("the line of ip is %s", lines[0])
	}
}

// A program on the other end of two pipes gets its answer before it asks again.
func TestBatchAnswersAtOnce(t *testing.T) {
	questions, ask := io.Pipe()
	answer, answers := io.Pipe()
	done := make(chan int)
	go func() { done <- Main([]string{"--batch"}, questions, answers, io.Discard) }()
	lines := bufio.NewReader(answer)
	for range 3 {
		if _, err := io.WriteString(ask, "tcp\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"ok":true`) {
			t.Fatalf("%s, %v", line, err)
		}
	}
	ask.Close()
	if status := <-done; status != exitDone {
		t.Errorf("status %d", status)
	}
}
