package exports

import (
	"math/rand/v2"
	"net/url"
	"testing"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/test/storage"
)

// A copy goes on after a restart with the upload that it began before, by the name that the storage gave
// it.
func TestAnUploadGoesOnAfterARestart(t *testing.T) {
	const size = 20 << 20
	peer := storage.S3(t, storage.Options{})
	front := peer.NewFront(t, nil)
	r := newRig(t)
	r.o.Tell = func(...string) { r.news <- struct{}{} }
	r.q.o.Tell = r.o.Tell
	u, err := url.Parse(peer.URL(front.Address, "mx1", ""))
	if err != nil {
		t.Fatal(err)
	}
	r.target("bucket", sending.Destination{URL: u, HostKey: front.HostKey, Secret: peer.Secret}, false)
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(content)
	if err := r.files.WriteFile("a.pcap", content, 0o600); err != nil {
		t.Fatal(err)
	}
	front.BreakAfter(12 << 20)
	r.add(access.System, "bucket", "a.pcap")
	r.q.Start()
	r.await("a try", func() bool { return r.state("a.pcap", "bucket").Tries == 1 })
	r.q.Close(t.Context())
	front.BreakAfter(-1)
	r.open()
	r.q.Start()
	r.await("the copy", func() bool { return len(r.done) == 1 })
	if e := r.state("a.pcap", "bucket"); e.State != capture.ExportDone || e.Upload != "" || front.Taken() > size-(8<<20)+(1<<20) {
		t.Errorf("%d bytes were sent again, and it is %+v", front.Taken(), e)
	}
	if left := peer.Uploads(t, "mx1/a.pcap"); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}
