package ssh

import (
	"reflect"
	"testing"
)

func TestParseSCP(t *testing.T) {
	for line, want := range map[string]scpRequest{
		"scp -f diagnostic/a.pcap":         {patterns: []string{"diagnostic/a.pcap"}},
		"scp -v -r -p -f -- -x":            {recursive: true, times: true, patterns: []string{"-x"}},
		"scp -rpf 'diagnostic/a *' b*":     {recursive: true, times: true, patterns: []string{`diagnostic/a \*`, "b*"}},
		`scp -f diagnostic/\*.pcap "a\"b"`: {patterns: []string{`diagnostic/\*.pcap`, `a"b`}},
		"scp -d -t .":                      {upload: true, patterns: []string{"."}},
		"scp  -f\ta":                       {patterns: []string{"a"}},
		"scp -f ''":                        {patterns: []string{""}},
		"scp -f ~/diagnostic/a ~ '~/a' ~b": {patterns: []string{"/diagnostic/a", "/", `\~/a`, "~b"}},
	} {
		got, ok := parseSCP(line)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"", "scp", "scp a", "scp -f -t a", "scp -S x -f a", "scpx -f a", "version", "scp -f 'a", `scp -f a\`, "SCP -f a", "/usr/bin/scp -f a", "'s'cq -f",
	} {
		if got, ok := parseSCP(line); ok {
			t.Errorf("%q was taken for scp: %+v", line, got)
		}
	}
}

// Two files and a name that does not exist: the client gets the files, reads about the rest, and
// the status says so.
func TestSCPMixed(t *testing.T) {
	scp := need(t, "scp", "openssh-client")
	r := newRig(t, Limits{})
	r.appliance.put("a.pcap", []byte("a"))
	r.appliance.put("b.pcap", nil)
	host := testUser + "@127.0.0.1:"
	got := r.run("", scp, append(r.openSSH(), "-O", "-P", r.port, host+"diagnostic/[ab].pcap", host+"diagnostic/x*", host+"d*/b.pcap", ".")...)
	contains(t, "scp", got.stderr, "scp: diagnostic/x*: there is no such file\n")
	if got.status != 1 {
		t.Errorf("status %d", got.status)
	}
	r.got("a.pcap", []byte("a"))
	r.got("b.pcap", nil)

	r.appliance.setRole("readonly")
	got = r.run("", scp, append(r.openSSH(), "-O", "-P", r.port, host+"diagnostic/a.pcap", ".")...)
	contains(t, "scp without the right", got.stderr, "Your role does not allow this")
	got = r.run("", scp, append(r.openSSH(), "-O", "-P", r.port, r.keyFile, host)...)
	contains(t, "upload", got.stderr, "scp: uploads are not possible here")
}

// A name without a wildcard is looked up, however many files there are, and a message has it as it
// is.
func TestSCPOfOneName(t *testing.T) {
	scp := need(t, "scp", "openssh-client")
	r := newRig(t, Limits{})
	names := map[string]string{"a.pcap": "~/diagnostic/a.pcap", `b\c [1]*.pcap`: `'diagnostic/b\c [1]*.pcap'`, "~": "diagnostic/~"}
	for name := range names {
		r.appliance.put(name, []byte("content of "+name))
	}
	host := testUser + "@127.0.0.1:"
	for name, remote := range names {
		// -T: the client does not compare names with what it thinks that a shell makes of the
		// remote side.
		expect(t, remote, r.run("", scp, append(r.openSSH(), "-O", "-T", "-P", r.port, host+remote, "got")...), result{})
		r.got("got", []byte("content of "+name))
	}
	got := r.run("", scp, append(r.openSSH(), "-O", "-P", r.port, host+`'diagnostic/back\slash.pcap'`, host+`'x\y/z'`, ".")...)
	contains(t, "scp of nothing", got.stderr, `scp: back\slash.pcap: There is no such file`, `scp: x\y/z: there is no such file`)
	if n := r.appliance.listed; n != 0 {
		t.Errorf("the folder was listed %d times for names", n)
	}
}

func FuzzShellWords(f *testing.F) {
	f.Add(`scp -f 'a b'\ c "d"`)
	f.Fuzz(func(t *testing.T, line string) {
		parseSCP(line)
		shellWords(line)
	})
}
