package packetcapture_test

import (
	"testing"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{
		"azure-on": {Config: func(testing.TB, *netnstest.Namespace) string {
			return "azure: {subscription: 7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90, location: zurich}\n"
		}},
		"summary":               {Captures: []string{"testdata/slow.pcap"}},
		"packetcapture-packets": {Captures: []string{"testdata/slow.pcap"}},
		"packetcapture-flows":   {Captures: []string{"testdata/slow.pcap"}},
		"packetcapture-flow":    {Captures: []string{"testdata/slow.pcap"}},
		"note":                  {Captures: []string{"testdata/slow.pcap"}},
	})
}
