// Package signin runs real servers that know people: OpenLDAP's slapd, FreeRADIUS, and a provider of
// OpenID Connect. internal/test/packages.sh only unpacks the first two, so that nothing of the
// machine starts them.
package signin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// unpacked is where internal/test/packages.sh puts the packages.
const unpacked = "/var/cache/diagsh-tests/signin"

// A CA signs certificates for localhost.
type CA struct {
	File        string // its certificate in PEM
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes a CA of its own.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of tests"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	ca := &CA{File: filepath.Join(t.TempDir(), "ca.pem"), key: key}
	ca.certificate, err = x509.ParseCertificate(der)
	must(t, err)
	write(t, ca.File, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return ca
}

// Pair writes a certificate for localhost and its key as files in PEM.
func (ca *CA) Pair(t testing.TB) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, private.Public(), ca.key)
	must(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
	return certificate, key
}

// A Directory is a running slapd. Its passwords are "NAME-secret", its services' are "searcher".
type Directory struct {
	LDAPS, LDAP string // URLs; the latter is for StartTLS
	t           testing.TB
	dir         string
	args        []string
	process     *exec.Cmd
}

// people is the tree of the directory: jane is in netops and in a group without a role, otto only in
// the latter, rita in viewers, twin is there twice.
const people = `dn: dc=example,dc=net
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=searcher,dc=example,dc=net
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: searcher
cn: searcher

dn: ou=people,dc=example,dc=net
objectClass: organizationalUnit
ou: people

dn: ou=more,ou=people,dc=example,dc=net
objectClass: organizationalUnit
ou: more

dn: ou=groups,dc=example,dc=net
objectClass: organizationalUnit
ou: groups
`

const person = `
dn: uid=%[1]s,%[2]sou=people,dc=example,dc=net
objectClass: inetOrgPerson
uid: %[1]s
cn: %[1]s of Example
sn: Example
userPassword: %[1]s-secret
`

const group = `
dn: cn=%s,ou=groups,dc=example,dc=net
objectClass: groupOfNames
cn: %[1]s
`

// NewDirectory starts a slapd with a certificate of the CA.
func NewDirectory(t testing.TB, ca *CA) *Directory {
	t.Helper()
	root := tree(t, "slapd")
	dir := t.TempDir()
	certificate, key := ca.Pair(t)
	must(t, os.Mkdir(filepath.Join(dir, "db"), 0o700))
	conf := fmt.Sprintf(`include %[1]s/etc/ldap/schema/core.schema
include %[1]s/etc/ldap/schema/cosine.schema
include %[1]s/etc/ldap/schema/inetorgperson.schema
modulepath %[1]s/usr/lib/ldap
moduleload back_mdb
pidfile %[2]s/pid
TLSCertificateFile %[3]s
TLSCertificateKeyFile %[4]s
security simple_bind=128
database mdb
suffix dc=example,dc=net
rootdn cn=root,dc=example,dc=net
rootpw root
directory %[2]s/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=searcher,dc=example,dc=net read by self read by * none
`, root, dir, certificate, key)
	write(t, filepath.Join(dir, "slapd.conf"), conf)
	var ldif strings.Builder
	ldif.WriteString(people)
	for _, name := range []string{"jane", "otto", "rita", "twin", "admin"} {
		fmt.Fprintf(&ldif, person, name, "")
	}
	fmt.Fprintf(&ldif, person, "twin", "ou=more,")
	for name, members := range map[string][]string{"netops": {"jane"}, "cooks": {"jane", "otto", "twin"}, "viewers": {"rita"}} {
		fmt.Fprintf(&ldif, group, name)
		for _, m := range members {
			fmt.Fprintf(&ldif, "member: uid=%s,ou=people,dc=example,dc=net\n", m)
		}
	}
	write(t, filepath.Join(dir, "people.ldif"), ldif.String())
	d := &Directory{t: t, dir: dir}
	add := d.command(root, "usr/sbin/slapadd", "-f", filepath.Join(dir, "slapd.conf"), "-l", filepath.Join(dir, "people.ldif"))
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	d.LDAPS, d.LDAP = fmt.Sprintf("ldaps://localhost:%d", freePort(t)), fmt.Sprintf("ldap://localhost:%d", freePort(t))
	d.args = []string{root, "usr/sbin/slapd", "-f", filepath.Join(dir, "slapd.conf"), "-h", d.LDAPS + " " + d.LDAP, "-d", "0"}
	d.Start()
	t.Cleanup(d.Stop)
	return d
}

func (d *Directory) command(root, program string, args ...string) *exec.Cmd {
	return inTree(root, program, args...)
}

// Start starts the server, also again after Stop, and waits until it listens.
func (d *Directory) Start() {
	d.t.Helper()
	d.process = d.command(d.args[0], d.args[1], d.args[2:]...)
	must(d.t, d.process.Start())
	address := strings.TrimPrefix(d.LDAP, "ldap://")
	await.Until(d.t, "slapd to listen", func() bool { return listens(address) })
}

// Stop ends the server.
func (d *Directory) Stop() {
	if d.process != nil {
		d.process.Process.Kill()
		d.process.Wait()
		d.process = nil
	}
}

// SetMembers makes people the members of a group.
func (d *Directory) SetMembers(group string, people ...string) {
	d.t.Helper()
	var members []string
	for _, name := range people {
		members = append(members, "uid="+name+",ou=people,dc=example,dc=net")
	}
	change := ldap.NewModifyRequest("cn="+group+",ou=groups,dc=example,dc=net", nil)
	change.Replace("member", members)
	d.change(func(c *ldap.Conn) error { return c.Modify(change) })
}

// Remove removes a person.
func (d *Directory) Remove(name string) {
	d.t.Helper()
	d.change(func(c *ldap.Conn) error {
		return c.Del(ldap.NewDelRequest("uid="+name+",ou=people,dc=example,dc=net", nil))
	})
}

func (d *Directory) change(do func(*ldap.Conn) error) {
	d.t.Helper()
	c, err := ldap.DialURL(d.LDAPS, ldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true}))
	must(d.t, err)
	defer c.Close()
	must(d.t, c.Bind("cn=root,dc=example,dc=net", "root"))
	must(d.t, do(c))
}

// radiusd is the configuration of a FreeRADIUS.
const radiusd = `prefix = %[1]s/usr
libdir = %[1]s/usr/lib/freeradius
raddbdir = %[2]s
logdir = %[2]s
run_dir = %[2]s
pidfile = %[2]s/pid
max_request_time = 5
log {
 destination = stdout
}
thread pool {
 start_servers = 2
 max_servers = 4
 min_spare_servers = 1
 max_spare_servers = 2
}
security {
 max_attributes = 200
 reject_delay = 0
 status_server = no
}
client test {
 ipaddr = 127.0.0.1
 secret = "%[3]s"
 require_message_authenticator = yes
}
modules {
 pap {
 }
 files {
  filename = %[2]s/users
 }
}
server default {
 listen {
  type = auth
  ipaddr = 127.0.0.1
  port = %[4]d
 }
 authorize {
  files
  pap
 }
 authenticate {
  Auth-Type PAP {
   pap
  }
 }
 post-auth {
  %[5]s
  Post-Auth-Type REJECT {
   %[5]s
  }
 }
}
`

// A RADIUS is a running FreeRADIUS. Its users have the passwords of a Directory; jane has the
// Filter-Id netops and cooks, otto cooks, brief netops and a session of 2 seconds.
type RADIUS struct {
	Address string
	Secret  string
}

// NewRADIUS starts a FreeRADIUS. Without protect its answers have no Message-Authenticator, as those of
// servers of before 2024.
func NewRADIUS(t testing.TB, protect bool) *RADIUS {
	t.Helper()
	return NewRADIUSAt(t, freePacketPort(t), protect)
}

// NewRADIUSAt is NewRADIUS on a port of 127.0.0.1.
func NewRADIUSAt(t testing.TB, port int, protect bool) *RADIUS {
	t.Helper()
	root := tree(t, "freeradius")
	dir := t.TempDir()
	r := &RADIUS{Secret: "shared with the tests"}
	r.Address = fmt.Sprintf("127.0.0.1:%d", port)
	always := ""
	if protect {
		always = "update reply {\n &Message-Authenticator := 0x00\n }"
	}
	write(t, filepath.Join(dir, "users"), `jane Cleartext-Password := "jane-secret"
	Filter-Id += "cooks", Filter-Id += "netops", Reply-Message = "Hello jane"
otto Cleartext-Password := "otto-secret"
	Filter-Id += "cooks"
brief Cleartext-Password := "brief-secret"
	Filter-Id += "netops", Session-Timeout = 2
`)
	write(t, filepath.Join(dir, "radiusd.conf"), fmt.Sprintf(radiusd, root, dir, r.Secret, port, always))
	c := inTree(root, "usr/sbin/freeradius", "-f", "-l", "stdout", "-d", dir, "-D", filepath.Join(root, "usr/share/freeradius"), "-n", "radiusd")
	out := filepath.Join(dir, "log")
	log, err := os.Create(out)
	must(t, err)
	c.Stdout, c.Stderr = log, log
	must(t, c.Start())
	log.Close()
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	await.Until(t, "FreeRADIUS to be ready", func() bool {
		text, _ := os.ReadFile(out)
		if strings.Contains(string(text), "Error") {
			t.Fatalf("FreeRADIUS: %s", text)
		}
		return strings.Contains(string(text), "Ready to process requests")
	})
	return r
}

// tree returns the folder that a package is unpacked in.
func tree(t testing.TB, pkg string) string {
	t.Helper()
	root := filepath.Join(unpacked, pkg)
	if _, err := os.Stat(root); err != nil {
		netnstest.Missing(t, "the Debian package "+pkg+" is not unpacked in "+unpacked+" (make packages)")
	}
	return root
}

// inTree returns a program of an unpacked package, which finds its libraries there.
func inTree(root, program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(root, program), args...)
	libraries := []string{}
	for _, folder := range []string{"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib/freeradius"} {
		libraries = append(libraries, filepath.Join(root, folder))
	}
	c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	return c
}

func listens(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func freePacketPort(t testing.TB) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Answer listens by TLS as localhost, and answers whatever comes with some bytes.
func Answer(t testing.TB, ca *CA, answer []byte) (address string) {
	t.Helper()
	certificate, key := ca.Pair(t)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buffer := make([]byte, 4096)
				for {
					if _, err := c.Read(buffer); err != nil {
						return
					}
					c.Write(answer)
				}
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}
