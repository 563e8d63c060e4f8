package packetcapture_test

import (
	"testing"

	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{
		"summary":               {Captures: []string{"testdata/slow.pcap"}},
		"packetcapture-packets": {Captures: []string{"testdata/slow.pcap"}},
		"packetcapture-flows":   {Captures: []string{"testdata/slow.pcap"}},
		"packetcapture-flow":    {Captures: []string{"testdata/slow.pcap"}},
		"note":                  {Captures: []string{"testdata/slow.pcap"}},
	})
}
