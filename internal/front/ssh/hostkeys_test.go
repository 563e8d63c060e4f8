package ssh

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/await"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// keysOf is an appliance with other host keys.
type keysOf struct {
	Appliance
	keys [][]byte
	err  error
}

func (k keysOf) HostKeys(context.Context) ([][]byte, error) { return k.keys, k.err }

func TestAskHostKeys(t *testing.T) {
	all := newFakeAppliance(t).keys.Public()
	if keys, err := askHostKeys(t.Context(), keysOf{keys: all}); err != nil || len(keys) != 3 {
		t.Errorf("%v, %v", keys, err)
	}
	for what, f := range map[string]keysOf{
		"the host keys are not known":            {err: errors.New("gone")},
		"a host key":                             {keys: append(all[:2:2], []byte("garbage"))},
		"there is no host key of type ssh-rsa":   {keys: all[:2]},
		"there is no host key of type ssh-ed255": {},
	} {
		if keys, err := askHostKeys(t.Context(), f); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, %v", what, keys, err)
		}
	}
}

// The appliance signs by each algorithm of each key, for the key exchange and for the ones that
// follow.
func TestRemoteSigners(t *testing.T) {
	r := newRig(t, Limits{})
	keys, err := askHostKeys(t.Context(), r.appliance)
	check(t, err)
	for _, name := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		client, err := r.appliance.Client(t.Context())
		check(t, err)
		signer := keys.signer(name, client)
		for _, algorithm := range signer.Algorithms() {
			config := r.config()
			config.HostKeyAlgorithms = []string{algorithm}
			config.HostKeyCallback = ssh.FixedHostKey(keys.of(name))
			config.Config.RekeyThreshold = 1 << 14
			before := r.appliance.signatures()
			c, err := ssh.Dial("tcp", r.address, config)
			check(t, err)
			if text := r.output(c, "flood 200000", nil); len(text) != 200000 {
				t.Errorf("%s: %d bytes", algorithm, len(text))
			}
			await.Until(t, "a second key exchange", func() bool { return r.appliance.signatures()-before >= 2 })
			c.Close()
		}
		if _, err := signer.SignWithAlgorithm(nil, make([]byte, 32), signer.Algorithms()[0]); err == nil {
			t.Errorf("%s signs what may be no key exchange", name)
		}
		if _, err := signer.Sign(nil, make([]byte, 32)); err == nil {
			t.Errorf("%s signs what may be no key exchange", name)
		}
	}
}

// Nothing is signed for who only looks, and nothing is begun for them.
func TestNothingIsSignedBeforeAKeyExchange(t *testing.T) {
	r := newRig(t, Limits{})
	for _, say := range []string{"", "SSH-2.0-x\r\n", "GET / HTTP/1.1\r\n\r\n"} {
		c := rawDial(t, r, "127.0.0.1")
		c.Write([]byte(say))
		c.Close()
	}
	r.dial().Close()
	if n := r.appliance.signatures(); n != 1 {
		t.Errorf("%d signatures", n)
	}
}
