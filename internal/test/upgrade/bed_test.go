// Package upgrade_test opens the data folder of a former build with the present one.
package upgrade_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// receiverAddress is where the HTTPS target of the fixture listens, in the appliance's network.
const receiverAddress = "127.0.0.1:8443"

// Members of the fixture beside the data folder.
const (
	dataMember     = "data/"
	saidMember     = "said.json"    // what the former build last said, by name (see observed)
	receiverMember = "receiver.pem" // certificate and key of the HTTPS target
)

// network makes a namespace with two interfaces that are each other's far end.
func network(t *testing.T) *netnstest.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	ns.Veth(t, "eth0", "eth1")
	return ns
}

// ask returns what the appliance says to a line as JSON.
func ask(t *testing.T, a *appliance.Appliance, line string) string {
	t.Helper()
	if path, isGet := strings.CutPrefix(line, "GET "); isGet {
		status, answer := a.API("op", "GET", path, "")
		if status != 200 {
			t.Fatalf("%s: %d %s", line, status, answer)
		}
		return answer
	}
	r := a.Local(line + " --json")
	if r.Status != 0 {
		t.Fatalf("%s: %+v", line, r)
	}
	return r.Out
}

// newCertificate makes the certificate and the key of the HTTPS target, as PEM.
func newCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
}

// fingerprint is how a target names its certificate.
func fingerprint(t *testing.T, receiver []byte) string {
	t.Helper()
	pair, err := tls.X509KeyPair(receiver, receiver)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pair.Certificate[0])
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// A fixture is a former data folder with what belongs to it.
type fixture struct {
	said     map[string]json.RawMessage
	receiver []byte
}

// keep writes a fixture.
func keep(t *testing.T, path, data string, f fixture) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(zipped)
	add := func(name string, modified time.Time, content []byte) {
		t.Helper()
		h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: modified, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	said, err := json.MarshalIndent(f.said, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	add(saidMember, time.Time{}, said)
	add(receiverMember, time.Time{}, f.receiver)
	if err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(data, path)
		add(dataMember+relative, info.ModTime(), content)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), zipped.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// unpack fills a data folder from a fixture.
func unpack(t *testing.T, path, data string) (f fixture) {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	zipped, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zipped); ; {
		h, err := r.Next()
		if err == io.EOF {
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch relative, inData := strings.CutPrefix(h.Name, dataMember); {
		case inData:
			place(t, filepath.Join(data, relative), content, h.ModTime)
		case h.Name == receiverMember:
			f.receiver = content
		case h.Name == saidMember:
			if err := json.Unmarshal(content, &f.said); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// place writes a file of a data folder with its time.
func place(t *testing.T, path string, content []byte, modified time.Time) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600),
		os.Chtimes(path, modified, modified))
	if err != nil {
		t.Fatal(err)
	}
}
