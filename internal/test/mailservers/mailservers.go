// Package mailservers runs real mail servers of Debian side by side in a namespace of the test. As
// packages they exclude each other, so internal/test/packages.sh only unpacks them, and each runs
// in a mount namespace in which its package is part of /usr.
package mailservers

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
)

// unpacked is where internal/test/packages.sh puts the packages.
const unpacked = "/var/cache/diagsh-tests/mail"

//go:embed start.sh
var start string

// A Server is a kind of mail server.
type Server string

const (
	Postfix   Server = "postfix"
	Exim      Server = "exim4-daemon-light"
	OpenSMTPD Server = "opensmtpd"
)

// A Certificate is one to show, with its key.
type Certificate struct{ Chain, Key []byte }

// SelfSigned makes a certificate for a name that no authority has signed.
func SelfSigned(t testing.TB, name string, from, to time.Time) Certificate {
	t.Helper()
	return certificate(t, name, []string{name}, from, to)
}

// CommonNameOnly is SelfSigned as it was done long ago: the name stands in the subject and is no
// subject alternative name.
func CommonNameOnly(t testing.TB, name string, from, to time.Time) Certificate {
	t.Helper()
	return certificate(t, name, nil, from, to)
}

func certificate(t testing.TB, name string, alternatives []string, from, to time.Time) Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048) // OpenSMTPD of Debian 12 fails with others
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Lab"}}, DNSNames: alternatives,
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

// Start starts a server for mx.lab.example on port 25 of an address, and waits until it greets.
func Start(t testing.TB, network *netnstest.Namespace, server Server, address string, c Certificate) {
	t.Helper()
	root := filepath.Join(unpacked, string(server))
	if _, err := os.Stat(root); err != nil {
		netnstest.Missing(t, "the Debian package "+string(server)+" is not unpacked in "+unpacked+" (make packages)")
	}
	work, err := os.MkdirTemp("", "mail-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	os.Chmod(work, 0o755)
	for name, content := range map[string][]byte{"start.sh": []byte(start), "cert.pem": c.Chain, "key.pem": c.Key} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(work, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", filepath.Join(work, "start.sh"), string(server), root, work, address)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	network.Do(t, func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the first of its process namespace is among them, and all go with it
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s said:\n%s", server, text)
		}
	})
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if greets(t, network, address) {
			return
		}
		if time.Now().After(late) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("%s does not greet:\n%s", server, text)
		}
	}
}

func greets(t testing.TB, network *netnstest.Namespace, address string) (yes bool) {
	network.Do(t, func() {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(address, "25"), time.Second)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		var b [3]byte
		n, _ := c.Read(b[:])
		yes = string(b[:n]) == "220"
	})
	return yes
}
