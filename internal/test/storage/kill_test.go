package storage_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/storage"
)

const (
	kills    = 25 // of each storage
	files    = 16
	fileSize = 12 << 20 // a part and a half
)

// A rig is an appliance that copies files into a storage.
type rig struct {
	*appliance.Appliance
	t     *testing.T
	peer  *storage.Peer
	front *storage.Front
	sums  map[string]string // of the files, by name
	seen  map[string]bool   // those that the storage was found to have
}

func newRig(t *testing.T, peer *storage.Peer) *rig {
	t.Helper()
	r := &rig{t: t, peer: peer, front: peer.NewFront(t, nil), sums: map[string]string{}, seen: map[string]bool{}}
	r.Appliance = appliance.Start(t, appliance.Options{})
	r.do("packetcapture target new vault secret '" + peer.Secret + "' hostkey " + r.front.HostKey + " bytespersecond 8MB url " + peer.URL(r.front.Address, "mx1", ""))
	r.do("packetcapture copies pause vault") // until all are queued
	for i := range files {
		name := fmt.Sprintf("mx1-kept-20260301-10%02d00.pcap", i)
		content := make([]byte, fileSize)
		rand.NewChaCha8([32]byte{byte(i)}).Read(content)
		sum := sha256.Sum256(content)
		r.sums[name] = hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(r.Data, "diagnostic", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r.do("packetcapture export " + name + " vault")
	}
	r.do("packetcapture copies resume vault")
	return r
}

func (r *rig) do(line string) string {
	r.t.Helper()
	result := r.Local(line)
	if result.Status != 0 {
		r.t.Fatalf("%s: %+v", line, result)
	}
	return result.Out
}

func (r *rig) exports() []capture.Export {
	r.t.Helper()
	var list []capture.Export
	if err := json.Unmarshal([]byte(r.do("packetcapture exports --json")), &list); err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *rig) waiting() (n int) {
	for _, e := range r.exports() {
		if e.State != capture.ExportDone {
			n++
		}
	}
	return n
}

// look makes sure that what has a name at the storage is whole, and that nothing is gone here.
func (r *rig) look() {
	r.t.Helper()
	for name, sum := range r.sums {
		if info, err := os.Stat(filepath.Join(r.Data, "diagnostic", name)); err != nil || info.Size() != fileSize {
			r.t.Errorf("%s is no longer what it was: %v", name, err)
		}
		if r.seen[name] {
			continue
		}
		switch there, bytes := r.peer.Sum(r.t, "mx1/"+name); there {
		case "":
		case sum:
			r.seen[name] = true
		default:
			r.t.Errorf("the storage has %d bytes of %s under its name", bytes, name)
		}
	}
}

// The appliance dies at moments of chance while it copies into a storage: while sums are made, parts
// are on their way, objects are made of them, and the queue is written. In the end each object is the
// file, and none had its name before.
func TestKilledWhileItStores(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	for scheme, start := range map[string]func(testing.TB, storage.Options) *storage.Peer{"azblob": storage.Azblob, "s3": storage.S3} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, start(t, storage.Options{}))
			const seed = 13
			random := rand.New(rand.NewPCG(seed, 0))
			busy := 0 // kills while copies were to be made
			for kill := range kills {
				r.front.BreakAfter(-1) // counts anew
				moment := random.Int64N(fileSize * 3 / 4)
				await.Until(t, "the moment", func() bool { return r.front.Taken() >= moment || r.waiting() == 0 })
				if r.waiting() > 0 {
					busy++
				}
				r.Kill()
				r.look()
				r.Restart()
				if t.Failed() {
					t.Fatalf("after kill %d of seed %d, at %d bytes", kill, seed, moment)
				}
			}
			if busy < kills/2 {
				t.Errorf("of %d kills only %d came while there was something to copy", kills, busy)
			}
			await.Until(t, "all copies", func() bool { return r.waiting() == 0 })
			r.look()
			for _, e := range r.exports() {
				if e.Sent != e.Bytes || e.SHA256 != r.sums[e.File] || !r.seen[e.File] {
					t.Errorf("a copy that is done: %+v; the storage has it: %t", e, r.seen[e.File])
				}
			}
		})
	}
}
