package ssh

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestOffer(t *testing.T) {
	appliance := newFakeAppliance(t)
	keys, err := askHostKeys(t.Context(), appliance)
	check(t, err)
	ctr, old, etm := []string{ssh.CipherAES256CTR}, []string{ssh.HMACSHA256, ssh.InsecureHMACSHA196, ssh.HMACSHA1}, []string{ssh.HMACSHA512ETM}
	openSSH := []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES128GCM}
	for _, c := range []struct {
		client  string
		hello   *kexInit
		nist    bool
		gcmOnly bool
		ecdsa   bool
		aead    bool // no cipher that needs a MAC
		plain   bool // MACs that are not encrypt-then-MAC
	}{
		{"silent", nil, false, false, false, false, false},
		{"OpenSSH", &kexInit{KexAlgos: []string{"sntrup761x25519-sha512@openssh.com", "curve25519-sha256", "ecdh-sha2-nistp256"},
			HostKeyAlgos: []string{"ssh-ed25519", "ecdsa-sha2-nistp256"}, CiphersClientServer: openSSH, CiphersServerClient: openSSH}, false, true, false, true, false},
		{"met before", &kexInit{KexAlgos: []string{"mlkem768x25519-sha256"},
			HostKeyAlgos: []string{"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", "ssh-ed25519"}, MACsClientServer: etm, MACsServerClient: etm}, false, false, true, false, false},
		{"ssh-audit", &kexInit{KexAlgos: []string{"curve25519-sha256"},
			HostKeyAlgos: []string{"rsa-sha2-512", "ecdsa-sha2-nistp256", "ssh-ed25519"}, MACsClientServer: etm, MACsServerClient: etm}, false, false, false, false, false},
		{"FIPS", &kexInit{KexAlgos: []string{"ecdh-sha2-nistp256"}, HostKeyAlgos: []string{"ecdsa-sha2-nistp256"},
			CiphersClientServer: []string{ssh.CipherAES256GCM}, CiphersServerClient: []string{ssh.CipherAES256GCM}}, true, true, true, true, false},
		{"one way", &kexInit{KexAlgos: []string{"curve25519-sha256"}, CiphersClientServer: []string{ssh.CipherAES128CTR},
			CiphersServerClient: []string{ssh.CipherAES256GCM}}, false, false, false, false, true},
		{"libssh2 1.10", &kexInit{KexAlgos: []string{"curve25519-sha256"}, CiphersClientServer: ctr, CiphersServerClient: ctr,
			MACsClientServer: old, MACsServerClient: old}, false, false, false, false, true},
		{"ETM one way", &kexInit{KexAlgos: []string{"curve25519-sha256"}, CiphersClientServer: ctr, CiphersServerClient: ctr,
			MACsClientServer: etm, MACsServerClient: old}, false, false, false, false, true},
		{"ETM", &kexInit{KexAlgos: []string{"curve25519-sha256"}, CiphersClientServer: ctr, CiphersServerClient: ctr,
			MACsClientServer: append(old, etm...), MACsServerClient: append(old, etm...)}, false, false, false, false, false},
		// It prefers AES-CTR, for which it has no MAC, to ChaCha20, which needs none.
		{"dropbear", &kexInit{KexAlgos: []string{"curve25519-sha256"}, CiphersClientServer: append(ctr, ssh.CipherChaCha20Poly1305),
			CiphersServerClient: append(ctr, ssh.CipherChaCha20Poly1305), MACsClientServer: old, MACsServerClient: old}, false, false, false, true, false},
	} {
		var config ssh.ServerConfig
		client, err := appliance.Client(t.Context())
		check(t, err)
		cookie := client.Cookie()
		config.FirstKexCookie = &cookie
		offer(&config, keys, client, c.hello)
		if got := slices.Contains(config.KeyExchanges, "ecdh-sha2-nistp256"); got != c.nist {
			t.Errorf("%s: key exchanges %v", c.client, config.KeyExchanges)
		}
		if got := !slices.Contains(config.Ciphers, ssh.CipherChaCha20Poly1305) &&
			!slices.Contains(config.Ciphers, ssh.CipherAES128CTR); got != c.gcmOnly {
			t.Errorf("%s: ciphers %v", c.client, config.Ciphers)
		}
		aead := !slices.ContainsFunc(config.Ciphers, func(name string) bool { return !slices.Contains(aeadCiphers(), name) })
		if aead != c.aead {
			t.Errorf("%s: ciphers %v", c.client, config.Ciphers)
		}
		if got := slices.Contains(config.MACs, ssh.HMACSHA256); got != c.plain ||
			slices.Contains(config.MACs, ssh.HMACSHA1) {
			t.Errorf("%s: MACs %v", c.client, config.MACs)
		}
		if got := offersECDSA(t, &config); got != c.ecdsa {
			t.Errorf("%s: ECDSA host key: %v", c.client, got)
		}
	}
}

// offersECDSA makes a connection with a client that takes no other host key.
func offersECDSA(t *testing.T, config *ssh.ServerConfig) bool {
	t.Helper()
	config.NoClientAuth = true
	a, b := pipe(t)
	go ssh.NewServerConn(a, config)
	_, _, _, err := ssh.NewClientConn(b, "", &ssh.ClientConfig{
		HostKeyAlgorithms: []string{ssh.KeyAlgoECDSA256}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Config: ssh.Config{Ciphers: config.Ciphers, KeyExchanges: config.KeyExchanges},
	})
	return err == nil
}

// A client that waits for the server's lists before it shows its own gets them, and can log in.
func TestSilentClient(t *testing.T) {
	r := newRig(t, Limits{})
	c := rawDial(t, r, "127.0.0.1")
	_, err := io.WriteString(c, "SSH-2.0-waiting\r\n")
	check(t, err)
	in := bufio.NewReader(c)
	c.SetReadDeadline(time.Now().Add(patience))
	if line, err := in.ReadString('\n'); line != versionLine+"\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var length uint32
	check(t, binary.Read(in, binary.BigEndian, &length))
	packet := make([]byte, length)
	_, err = io.ReadFull(in, packet)
	check(t, err)
	var lists kexInit
	check(t, ssh.Unmarshal(packet[1:len(packet)-int(packet[0])], &lists))
	if lists.KexAlgos[0] != ssh.KeyExchangeMLKEM768X25519 ||
		!slices.Contains(lists.KexAlgos, "kex-strict-s-v00@openssh.com") {
		t.Errorf("key exchanges: %v", lists.KexAlgos)
	}
	if slices.Contains(lists.HostKeyAlgos, "ssh-rsa") {
		t.Errorf("host keys: %v", lists.HostKeyAlgos)
	}
}

func TestNotSSH(t *testing.T) {
	r := newRig(t, Limits{})
	for _, say := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Repeat("SSH-", 100), "\x16\x03\x01\x02\x00\x01\n", "SSH-2.0-x\r\n" + strings.Repeat("\xff", 100)} {
		c := rawDial(t, r, "127.0.0.1")
		_, err := io.WriteString(c, say)
		check(t, err)
		c.SetReadDeadline(time.Now().Add(patience))
		// Nothing but what every client is told; the end may be a reset, as not all was read.
		text, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(text), versionLine+"\r\n") {
			t.Errorf("%q was answered %q", say, text)
		}
	}
}

// Who speaks something else reads so, in the words of OpenSSH's server, and at once: a web browser
// ends its line, TLS never does.
func TestOtherProtocols(t *testing.T) {
	r := newRig(t, Limits{HelloTime: time.Hour, LoginTime: time.Hour})
	for say, want := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":   "Invalid SSH identification string.\r\n",
		"\x16\x03\x01\x02\x00\x01": "Invalid SSH identification string.\r\n",
		"SSH-1.5-OpenSSH_3.9\r\n":  "Protocol major versions differ.\r\n",
		"SSH-1.99-old\r\n":         "", // a client that speaks both: it is sent our KEXINIT
		"SSH-3.0-new\r\n":          "Protocol major versions differ.\r\n",
	} {
		c := rawDial(t, r, "127.0.0.1")
		_, err := io.WriteString(c, say)
		check(t, err)
		c.SetReadDeadline(time.Now().Add(patience))
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); line != versionLine+"\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if want == "" {
			if packet, err := in.Peek(6); err != nil ||
				packet[5] != 20 { // SSH_MSG_KEXINIT, behind the packet's length and padding length
				t.Errorf("%q is answered %q, %v", say, packet, err)
			}
			continue
		}
		if text, _ := io.ReadAll(in); string(text) != want {
			t.Errorf("%q is answered %q", say, text)
		}
	}
}

// What a client says first is read in any pieces and handed on unchanged.
func FuzzHello(f *testing.F) {
	lists := ssh.Marshal(kexInit{KexAlgos: []string{"curve25519-sha256"}, Rest: make([]byte, 40)})
	packet := append(binary.BigEndian.AppendUint32(nil, uint32(len(lists)+5)), 4)
	packet = append(append(packet, lists...), 0, 0, 0, 0)
	f.Add([]byte("SSH-2.0-x\r\n"), packet)
	f.Add([]byte("SSH-2.0-x\n"), []byte{0, 0, 0, 2, 0, 20})
	f.Add([]byte(strings.Repeat("x", 300)), []byte{})
	f.Fuzz(func(t *testing.T, line, packet []byte) {
		said := append(slices.Clone(line), packet...)
		r := bufio.NewReaderSize(iotestOneByte{bytes.NewReader(said)}, maxVersionLine+4+maxFirstPacket)
		if line, err := peekLine(r); err == nil {
			if payload, err := peekPacket(r, len(line)); err == nil {
				var lists kexInit
				ssh.Unmarshal(payload, &lists)
			}
		}
		if again, _ := io.ReadAll(r); !bytes.Equal(again, said) {
			t.Errorf("%q became %q", said, again)
		}
	})
}

// iotestOneByte reads one byte at a time.
type iotestOneByte struct{ r io.Reader }

func (r iotestOneByte) Read(p []byte) (int, error) { return r.r.Read(p[:min(1, len(p))]) }
