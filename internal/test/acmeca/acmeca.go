// Package acmeca runs a CA that speaks ACME: Let's Encrypt's own for tests, pebble. It looks at a
// port of this machine whether a name is its customer's.
package acmeca

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// A CA is one that runs.
type CA struct {
	Directory string // the address of its directory
	Authority string // the certificate of the directory's host in PEM
	Root      string // of the certificates that it gives, in PEM

	server *httptest.Server
}

// Start runs a CA that gives certificates for so many seconds. It finds every name at 127.0.0.1, and
// there looks at the port tlsPort. It ends with the test.
func Start(t testing.TB, tlsPort int, seconds uint64) *CA {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	memory := db.NewMemoryStore()
	authority := ca.New(quiet, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: seconds}})
	checks := va.New(quiet, 1, tlsPort, true, nameserver(t), memory)
	front := wfe.New(quiet, memory, checks, authority, []string{"pebble"}, true, false, 1, 1)
	c := &CA{server: httptest.NewUnstartedServer(front.Handler())}
	c.server.Config.ErrorLog = quiet
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
	c.Directory = c.server.URL + wfe.DirectoryPath
	c.Authority = text(c.server.Certificate())
	c.Root = string(authority.GetRootCert(0).PEM())
	return c
}

// Stop lets nobody reach the CA any more.
func (c *CA) Stop() { c.server.Close() }

func text(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// nameserver runs a name server that knows every name by the address 127.0.0.1, and returns its
// address.
func nameserver(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if one := q.Question[0]; one.Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: one.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A: net.IPv4(127, 0, 0, 1)}}
		}
		w.WriteMsg(answer)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return l.Addr().String()
}
