package config

import (
	"reflect"
	"strings"
	"testing"
)

const whole = `hostname: mx1.example.com
banner: |-
  Authorised use only.
  Red: no.
welcome: Be careful.
idleTimeout: 45m
interfaces:
  eth0:
    media: autoselect
    mtu: 9000
  eth0.34:
    mtu: 1400
vlans:
  eth0.34:
    parent: eth0
    id: 34
loopback: 192.0.2.10
multicastARP: reject
certificate: 0A:C8:71:86:B9:21:9A:1D:B5:F4:A4:19:9F:AA:4B:E0:A5:EA:40:CE:F4:54:29:F5:35:59:29:5E:C0:09:86:61 chain 0A1B2C3D
acmeDirectory: https://ca.example.com/directory
acmeNames: mx1.example.com,mx1
acmeContact: ops@example.com
acmeAuthority: |-
  -----BEGIN CERTIFICATE-----
  MIIBfDCCASGgAwIBAgIUXeAVwslO1maD/cO/T11RF5WfABYwCgYIKoZIzj0EAwIw
  EjEQMA4GA1UEAwwHVGVzdCBDQTAgFw0yNjExMjkxMjMxMDNaGA8yMTI2MTEwNTEy
  MzEwM1owEjEQMA4GA1UEAwwHVGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
  A0IABLcz7h59qGfKxnNHuhE0QCuO7e7f35Tc3ztUbO6XqGLHdBXe0kCpKUvSKOF9
  gCCtNEvrHOlcHUTdTHPuFisITrajUzBRMB0GA1UdDgQWBBQKLV4yxmSgjc1oqEBi
  f85rqSiKnDAfBgNVHSMEGDAWgBQKLV4yxmSgjc1oqEBif85rqSiKnDAPBgNVHRMB
  Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDc+kClkvemdHBvP8/KUQVWuYeO
  otdjHMSZi0XIC3SXzwIhAMkzMDcCIjsuYcp3xt0hC6GT6Jh0ucQox8jRtpFECuSV
  -----END CERTIFICATE-----
`

func TestDocument(t *testing.T) {
	d, lines, faults := Parse([]byte(whole))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if text := string(d.YAML()); text != whole {
		t.Errorf("it is written as\n%s", text)
	}
	if v, ok := d.VLAN("eth0.34"); !ok || v.Parent != "eth0" || v.ID != 34 || d.MTU("eth0") != 9000 ||
		lines[MTUOf("eth0.34")] != 12 {
		t.Errorf("%+v, mtu %d, line %d", v, d.MTU("eth0"), lines[MTUOf("eth0.34")])
	}
	tree := d.Tree()
	if got := tree["interfaces"].(map[string]any)["eth0"]; !reflect.DeepEqual(got,
		map[string]any{"media": "autoselect", "mtu": 9000}) {
		t.Errorf("as JSON, eth0 is %v", got)
	}
	for _, k := range schema {
		if !strings.Contains(whole, k.section+":") || !strings.Contains(whole, k.field) {
			t.Errorf("the example lacks %s %s", k.section, k.field)
		}
	}
	d.DeleteVLAN("eth0.34")
	if len(d.VLANs()) != 0 || d.MTU("eth0.34") != 0 || d.MTU("eth0") != 9000 {
		t.Errorf("without its VLAN it is\n%s", d.YAML())
	}
}

// TestFaults: every fault is reported with its line.
func TestFaults(t *testing.T) {
	_, _, faults := Parse([]byte(`hostname: a b
idletimeout: 5m
interfaces:
  eth0: {mtu: 67, speed: 5}
  eth1: 1500
  a/b: {mtu: 1500}
  eth0: {mtu: 1500}
vlans:
  v5: {parent: eth0}
  v6: {parent: eth0, id: 4095}
loopback: 127.0.0.1
multicastARP: [accept]
"\u202ex": 1
`))
	var got []string
	for _, f := range faults {
		got = append(got, f.String())
	}
	want := []string{
		"line 1: hostname: it is a host name of letters, digits, hyphens and dots, at most 63 characters",
		"line 2: idletimeout: there is no such setting; did you mean idleTimeout?",
		"line 4: interfaces.eth0.mtu: it is a whole number from 68 to 65535",
		"line 4: interfaces.eth0.speed: there is no such setting; there are media, mtu",
		"line 5: interfaces.eth1: its settings belong below it: media, mtu",
		"line 6: interfaces.a/b: it is the name of an interface, at most 15 characters",
		"line 7: interfaces.eth0: it is there twice",
		"line 9: vlans.v5: id is missing",
		"line 10: vlans.v6.id: it is a whole number from 1 to 4094",
		"line 11: loopback: it is an IPv4 or IPv6 address of one host, such as 192.0.2.10, and none of 127.0.0.0/8 or ::1",
		"line 12: multicastARP: one value belongs here",
		`line 13: \u202ex: there is no such setting; there are hostname, banner, welcome, idleTimeout, interfaces, vlans, loopback, multicastARP, certificate, acmeDirectory, acmeNames, acmeContact, acmeAuthority`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the faults are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for text, line := range map[string]int{
		"a: [": 1, "hostname: x\n\tb: c": 2, "x: &a [1]\ny: *a": 1, "- hostname": 1, "? [a]\n: b": 1, "hostname: *x": 1,
		"hostname: x\nvlans:\n  a: {}\n b: {}\nloopback: 192.0.2.1\n":                      4,
		"# first\nhostname: x\nwelcome: y\nvlans:\n  a: {}\n b: {}\nloopback: 192.0.2.1\n": 6,
		"hostname: x\nwelcome: a: b\n":                                                     2,
		"hostname: x\nvlans: {a: {parent: left,\n  id: 3}\nloopback: 192.0.2.1\n":          3,
		"hostname: x\nwelcome: y\nbanner: *nothing\nloopback: 192.0.2.1\n":                 3,
		"hostname: x\nwelcome: \xff\nloopback: 192.0.2.1\n":                                2,
		"hostname: x\n---\nhostname: y\n---\nhostname: z\n":                                2,
	} {
		if _, _, faults := Parse([]byte(text)); len(faults) == 0 || faults[0].Line != line {
			t.Errorf("%q: %v", text, faults)
		}
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "{}\n", "interfaces: {}\n", "vlans:\n"} {
		if d, _, faults := Parse([]byte(empty)); len(d)+len(faults) != 0 {
			t.Errorf("%q: %v %v", empty, d, faults)
		}
	}
}

func TestChanges(t *testing.T) {
	from, to := Document{Hostname: "a", MTUOf("eth0"): "1400"}, Document{Hostname: "b", MulticastARP: Reject}
	changes := Changes(from, to)
	var got []string
	for _, c := range changes {
		got = append(got, c.String())
	}
	if want := []string{"hostname: a -> b", "interfaces.eth0.mtu: 1400 -> not set",
		"multicastARP: reject"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the changes are %q", got)
	}
	if !from.With(changes).Equal(to) || len(Changes(to, to)) != 0 {
		t.Error("changes made are not the document that they lead to")
	}
}

// FuzzParse reads any text: it never crashes, and what it accepts is read back from what it writes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("banner: \"a\\n \\n#\\tb: |\\n\"\nwelcome: '- x'"))
	f.Add([]byte("? {a: b}\n: c\nvlans: !!binary x\n<<: *y"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, _, faults := Parse(text)
		if len(faults) > 0 {
			for _, fault := range faults {
				if fault.Line < 1 || fault.Message == "" {
					t.Errorf("%q: a fault without line or message: %+v", text, fault)
				}
			}
			return
		}
		again, _, faults := Parse(d.YAML())
		if len(faults) > 0 || !again.Equal(d) {
			t.Errorf("%q is %v and is read back from\n%s\nas %v, %v", text, d, d.YAML(), again, faults)
		}
	})
}
