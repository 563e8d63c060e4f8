package mailservers

import (
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
)

func TestServersGreet(t *testing.T) {
	network := netnstest.New(t)
	c := SelfSigned(t, "mx.lab.example", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	for address, server := range map[string]Server{"127.0.0.2": Postfix, "127.0.0.3": Exim, "127.0.0.4": OpenSMTPD} {
		Start(t, network, server, address, c)
	}
}
