package people

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// userKey makes a user's key and its line.
func userKey(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := signerOf(t, private)
	return signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func signerOf(t testing.TB, private any) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

var testSession = bytes.Repeat([]byte{7}, 32)

// proof returns credentials with a right signature.
func proof(t testing.TB, user, source string, signer ssh.Signer) access.Credentials {
	t.Helper()
	return proofBy(t, user, source, signer, signer.PublicKey().Type(), signer.PublicKey().Type())
}

// proofBy is proof with the algorithm of the request and the format of the signature.
func proofBy(t testing.TB, user, source string, signer ssh.Signer, algorithm, format string) access.Credentials {
	t.Helper()
	key := signer.PublicKey().Marshal()
	signature, err := signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, signedText(testSession, user, algorithm, key), format)
	if err != nil {
		t.Fatal(err)
	}
	return access.Credentials{User: user, Source: source, Key: key, Algorithm: algorithm, Signature: ssh.Marshal(signature), SessionID: testSession}
}

// signedText is written out by hand from RFC 4252 section 7, so that it does not share a fault with
// signedLogin.
func signedText(session []byte, user, algorithm string, key []byte) []byte {
	var b []byte
	text := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	text(string(session))
	b = append(b, 50)
	text(user)
	text("ssh-connection")
	text("publickey")
	b = append(b, 1)
	text(algorithm)
	text(string(key))
	return b
}

// A securityKey signs as a FIDO token does (PROTOCOL.u2f of OpenSSH).
type securityKey struct {
	private ed25519.PrivateKey
	public  ssh.PublicKey
	flags   byte
}

func newSecurityKey(t testing.TB, flags byte) *securityKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	return &securityKey{private, key, flags}
}

func (k *securityKey) PublicKey() ssh.PublicKey { return k.public }

func (k *securityKey) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(r, data, ssh.KeyAlgoSKED25519)
}

func (k *securityKey) SignWithAlgorithm(_ io.Reader, data []byte, format string) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	rest := []byte{k.flags, 0, 0, 0, 9}
	return &ssh.Signature{Format: format, Blob: ed25519.Sign(k.private, slices.Concat(application[:], rest, message[:])), Rest: rest}, nil
}

// Every kind of key that an account may have proves its owner.
func TestProofs(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		t.Fatal(err)
	}
	signers := map[string][]string{} // algorithm to the formats that it may have
	byAlgorithm := map[string]ssh.Signer{}
	add := func(signer ssh.Signer, algorithm string, formats ...string) {
		byAlgorithm[algorithm], signers[algorithm] = signer, formats
	}
	user, _ := userKey(t)
	add(user, ssh.KeyAlgoED25519, ssh.KeyAlgoED25519)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer := signerOf(t, private)
		add(signer, signer.PublicKey().Type(), signer.PublicKey().Type())
	}
	add(signerOf(t, rsaKey), ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512)
	add(signerOf(t, rsaKey), ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
	add(newSecurityKey(t, 1), ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKED25519)
	for algorithm, formats := range signers {
		for _, format := range formats {
			if err := checkProof(proofBy(t, "admin", "", byAlgorithm[algorithm], algorithm, format)); err != nil {
				t.Errorf("%s, signed by %s: %v", algorithm, format, err)
			}
		}
	}
	if len(signers) != len(signatures)-1 { // sk-ecdsa has no software to sign by; its verification is package ssh's
		t.Errorf("%d of %d algorithms are tried", len(signers), len(signatures))
	}
}

// What a front end that lies can come up with proves nothing, and is in the audit log.
func TestProofsThatAreNone(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	rsaKey, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		t.Fatal(err)
	}
	signer, line := userKey(t)
	byRSA := signerOf(t, rsaKey)
	byToken, untouched := newSecurityKey(t, 1), newSecurityKey(t, 0)
	lines := []string{line}
	for _, s := range []ssh.Signer{byRSA, byToken, untouched} {
		lines = append(lines, string(ssh.MarshalAuthorizedKey(s.PublicKey())))
	}
	for _, line := range lines {
		roomtest.WantCode(t, roomtest.ErrorOf(d.AddKey("admin", line)), 0)
	}
	stranger, _ := userKey(t)
	right := func() access.Credentials { return proof(t, "admin", "192.0.2.1", signer) }
	rsaRight := func(format string) access.Credentials {
		return proofBy(t, "admin", "192.0.2.1", byRSA, ssh.KeyAlgoRSASHA256, format)
	}
	changed := func(change func(*access.Credentials)) access.Credentials {
		c := right()
		change(&c)
		return c
	}
	certificate := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"admin"},
		ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	byCertificate, err := ssh.NewCertSigner(certificate, signer)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]access.Credentials{
		"no signature":             changed(func(c *access.Credentials) { c.Signature = nil }),
		"an empty signature":       changed(func(c *access.Credentials) { c.Signature = []byte{} }),
		"half a signature":         changed(func(c *access.Credentials) { c.Signature = c.Signature[:20] }),
		"more than a signature":    changed(func(c *access.Credentials) { c.Signature = append(c.Signature, 0) }),
		"no session":               changed(func(c *access.Credentials) { c.SessionID = nil }),
		"another session":          changed(func(c *access.Credentials) { c.SessionID = bytes.Repeat([]byte{8}, 32) }),
		"half of the session":      changed(func(c *access.Credentials) { c.SessionID = c.SessionID[:16] }),
		"another user":             changed(func(c *access.Credentials) { c.User = "ops" }),
		"another user's signature": changed(func(c *access.Credentials) { c.Signature = proof(t, "ops", "192.0.2.1", signer).Signature }),
		"another key's signature":  changed(func(c *access.Credentials) { c.Signature = proof(t, "admin", "192.0.2.1", stranger).Signature }),
		"another key":              changed(func(c *access.Credentials) { c.Key = stranger.PublicKey().Marshal() }),
		"an unknown key":           proof(t, "admin", "192.0.2.1", stranger),
		"no key":                   changed(func(c *access.Credentials) { c.Key = []byte{} }),
		"no algorithm":             changed(func(c *access.Credentials) { c.Algorithm = "" }),
		"another algorithm":        changed(func(c *access.Credentials) { c.Algorithm = ssh.KeyAlgoECDSA256 }),
		"SHA-1":                    proofBy(t, "admin", "192.0.2.1", byRSA, ssh.KeyAlgoRSA, ssh.KeyAlgoRSA),
		"SHA-1 under another name": rsaRight(ssh.KeyAlgoRSA),
		"a name of its own":        proofBy(t, strings.Repeat("a", maxProvenUser+1), "192.0.2.1", signer, ssh.KeyAlgoED25519, ssh.KeyAlgoED25519),
		"a token nobody touched":   proof(t, "admin", "192.0.2.1", untouched),
		"a certificate": proofBy(t, "admin", "192.0.2.1", byCertificate.(ssh.AlgorithmSigner), ssh.CertAlgoED25519v01,
			ssh.KeyAlgoED25519),
		"a certificate for a key": proofBy(t, "admin", "192.0.2.1", byCertificate.(ssh.AlgorithmSigner), ssh.KeyAlgoED25519,
			ssh.KeyAlgoED25519),
	} {
		before := len(roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused}))
		l, err := d.Login(t.Context(), c)
		if menu.AsError(err) == nil || menu.AsError(err).Code != menu.Denied {
			t.Errorf("%s: logged in as %+v, %v", what, l, err)
		}
		refused := roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused})
		if len(refused) != before+1 || refused[0].Arguments["method"] != access.PublicKey {
			t.Errorf("%s: %d lines of the audit log, and not one with the method", what, len(refused)-before)
		}
	}
	for _, s := range []access.Credentials{right(), rsaRight(ssh.KeyAlgoRSASHA256), proof(t, "admin", "192.0.2.1", byToken)} {
		l, err := d.Login(t.Context(), s)
		roomtest.WantCode(t, err, 0)
		d.Logout(l.ID)
	}
	if n := len(d.Sessions()); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// A proof costs no delay, and its failure takes none of the guesses that a name has: keys cannot be
// guessed.
func TestProofsTakeNoTries(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	signer, line := userKey(t)
	roomtest.WantCode(t, roomtest.ErrorOf(d.AddKey("admin", line)), 0)
	wrong := proof(t, "admin", "192.0.2.1", signer)
	wrong.SessionID = bytes.Repeat([]byte{8}, 32)
	begun := time.Now()
	for range 20 {
		d.Login(t.Context(), wrong)
	}
	_, err := d.Login(t.Context(), proof(t, "admin", "192.0.2.1", signer))
	roomtest.WantCode(t, err, 0)
	if a, _ := d.Account("admin"); a.Locked != nil || time.Since(begun) > 2*time.Second {
		t.Errorf("locked until %v after %v", a.Locked, time.Since(begun))
	}
}

func FuzzProof(f *testing.F) {
	signer, _ := userKey(f)
	c := proof(f, "admin", "", signer)
	f.Add(c.User, c.Algorithm, c.Key, c.Signature, c.SessionID)
	f.Add("", "", []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, user, algorithm string, key, signature, session []byte) {
		err := checkProof(access.Credentials{User: user, Algorithm: algorithm, Key: key, Signature: signature, SessionID: session})
		same := user == c.User && algorithm == c.Algorithm && bytes.Equal(session, c.SessionID)
		if err == nil && bytes.Equal(key, c.Key) && !same {
			t.Fatal("proven for something else than was signed")
		}
	})
}
