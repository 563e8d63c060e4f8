package objects

import (
	"strings"
	"testing"
)

// Without TLS the peers are spoken with themselves, with nothing before them.
func TestWithoutTLS(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		b.to.URL, b.to.HostKey = parsed(t, b.peer.URL(b.peer.Address, folder, "?tls=no")), ""
		f, _ := randomFile(1, 2*piece+5)
		if _, last, err := b.send(t.Context(), f); err != nil || last != f.Bytes {
			t.Fatalf("%d bytes are safe: %v", last, err)
		}
		b.check(t, f, object)
		f.Path = "another"
		b.to.Secret = strings.Repeat("QUFB", 10)
		b.fails(t, "a wrong key", f, true, "refuses the key")
		if sum, _ := b.peer.Sum(t, folder+"/another"); sum != "" {
			t.Error("it is there")
		}
	})
}
