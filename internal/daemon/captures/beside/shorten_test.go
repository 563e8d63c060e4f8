package beside

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/internal/test/await"
)

// begun is when the files of these tests begin.
var begun = time.Unix(1_750_000_000, 0)

// history is a file of flows of an hour, as several parts of a capture tell it: flows that begin, are told
// again and end, some only by the end of their part, addresses that change, and events that were lost.
func history(random *rand.Rand) []byte {
	var b []byte
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	at, socket := begun, uint64(0)
	for part := range 3 {
		b = owners.AppendLine(b, owners.Line{Event: owners.Began, Time: at, NetNS: 1})
		b = owners.AppendLine(b, owners.Line{Event: owners.Addressed, Time: at, Addresses: local})
		for end := at.Add(20 * time.Minute); at.Before(end); at = at.Add(time.Second) {
			switch random.IntN(40) {
			case 0:
				b = owners.AppendLine(b, owners.Line{Event: owners.Lost, From: at.Add(-time.Second), Time: at})
			case 1:
				local = append(slices.Clone(local), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(200))}), 32))
				b = owners.AppendLine(b, owners.Line{Event: owners.Addressed, Time: at, Addresses: local})
			}
			socket++
			f := owners.Flow{NetNS: 1, Protocol: owners.UDP, LocalAddress: netip.MustParseAddr("127.0.0.1"), LocalPort: uint16(1000 + random.IntN(20)),
				RemoteAddress: netip.MustParseAddr("127.0.0.1"), RemotePort: 2000, From: at, Socket: socket,
				Process: owners.Process{PID: 1 + random.IntN(5), Name: "curl"}}
			b = owners.AppendFlow(b, f)
			if random.IntN(3) > 0 {
				f.Until = at.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
				b = owners.AppendFlow(b, f)
			}
			b = owners.AppendLine(b, owners.Line{Event: owners.Known, Time: at.Add(time.Second)})
		}
		if part == 1 {
			b = owners.AppendLine(b, owners.Line{Event: owners.Ended, Time: at})
		}
		at = at.Add(time.Minute)
	}
	return b
}

// joiner reads a file of flows.
func joiner(t *testing.T, file []byte) *owners.Joiner {
	t.Helper()
	table := owners.NewTable()
	if err := table.Read(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	return owners.NewJoiner(table)
}

// What a shortened file says of packets that are still there is what the whole one says, and of earlier
// ones it says nothing.
func TestShortenedFlowsSayTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	whole := history(random)
	before, known := joiner(t, whole), 0
	for _, oldest := range []time.Duration{-1, 0, 10 * time.Minute, 22 * time.Minute, 50 * time.Minute, 3 * time.Hour} {
		var b bytes.Buffer
		from := begun.Add(oldest)
		if oldest < 0 {
			from = time.Time{}
		}
		if err := shortenFlows(&b, bytes.NewReader(whole), from); err != nil {
			t.Fatal(err)
		}
		after := joiner(t, b.Bytes())
		for range 20_000 {
			at := begun.Add(time.Duration(random.Int64N(int64(65 * time.Minute))))
			p := udp(at)
			p.Data[21] = byte(232 + random.IntN(20)) // a port from 1000 on
			was, is := before.Join(p, capture.Raw), after.Join(p, capture.Raw)
			same := is.Sender == nil && was.Sender == nil || is.Sender != nil && was.Sender != nil && *is.Sender == *was.Sender
			switch {
			case !at.Before(from) && !same:
				t.Fatalf("from %v on, %v after the begin: %v, was %v", oldest, at.Sub(begun), is.Sender, was.Sender)
			case oldest > 0 && at.Before(from.Add(-keepEnded)) && is.Sender != nil:
				t.Fatalf("from %v on, %v after the begin: it knows %v", oldest, at.Sub(begun), is.Sender)
			case is.Sender != nil:
				known++
			}
		}
		if n := strings.Count(b.String(), `"known"`); n > 3 {
			t.Errorf("it says %d times up to when it knows", n)
		}
		if most := len(whole) / 10; oldest > time.Hour && b.Len() > most {
			t.Errorf("%d bytes of %d are left", b.Len(), len(whole))
		}
	}
	if known < 1000 {
		t.Errorf("%d packets had an owner", known)
	}
}

// What is no table of flows is not shortened.
func TestOnlyFlowsAreShortened(t *testing.T) {
	for _, file := range []string{"no flows\n", `{"event":"known"}` + "\n", `{"event":"start"}` + "\n" + `{"event":"fl`} {
		if err := shortenFlows(io.Discard, strings.NewReader(file), time.Time{}); err == nil {
			t.Errorf("%q is shortened", file)
		}
	}
}

// ringed begins a file of flows of a ring, of which the test says what its oldest packet is.
func ringed(t *testing.T, oldest *time.Time, s shortener) (*Set, *File, string) {
	set, f, dir := room(t, Options{MostBytes: 64 << 10, Oldest: func() time.Time { return *oldest }})
	f.shortenBy(s)
	return set, f, dir
}

// The file of a ring that goes on is not over at its most bytes, and is whole at every time.
func TestARingsFlowsGoOn(t *testing.T) {
	oldest := begun
	set, f, dir := ringed(t, &oldest, shortenFlows)
	if _, err := f.Write(owners.AppendLine(nil, owners.Line{Event: owners.Began, Time: begun, NetNS: 1})); err != nil {
		t.Fatal(err)
	}
	var last time.Time
	written := 0
	for i := range 4000 {
		last = begun.Add(time.Duration(i) * time.Second)
		b := owners.AppendFlow(nil, owners.Flow{NetNS: 1, Protocol: owners.UDP, LocalAddress: netip.MustParseAddr("127.0.0.1"), LocalPort: 1000,
			RemoteAddress: netip.MustParseAddr("127.0.0.1"), RemotePort: 2000, From: last, Until: last.Add(time.Millisecond), Socket: uint64(i),
			Process: owners.Process{PID: i + 1, Name: "curl"}})
		b = owners.AppendLine(b, owners.Line{Event: owners.Known, Time: last.Add(time.Second)})
		if _, err := f.Write(b); err != nil {
			t.Fatalf("after %d bytes, with %d in the file: %v", written, f.Size(), err)
		}
		written += len(b)
		await.Until(t, "the file is not written anew", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.shortening == nil {
				oldest = last.Add(-time.Minute)
			}
			return f.shortening == nil
		})
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || set.Files()[0].Stopped != "" {
		t.Fatalf("left are %v, %v, %q", left, err, set.Files()[0].Stopped)
	}
	file, err := os.ReadFile(filepath.Join(dir, set.Files()[0].Name))
	if err != nil || written < 10*len(file) || int64(len(file)) != set.Files()[0].Bytes {
		t.Errorf("of %d bytes %d are in the file, %v", written, len(file), err)
	}
	if p := joiner(t, file).Join(udp(last), capture.Raw).Sender; p == nil || p.PID != 4000 {
		t.Errorf("the last packet is of %+v", p)
	}
}

// A file that is closed while it is written anew, and one of an appliance that died then, has all that
// was written.
func TestInterruptedShortening(t *testing.T) {
	for _, dies := range []bool{false, true} {
		oldest, entered, leave := begun, make(chan struct{}), make(chan struct{})
		set, f, dir := ringed(t, &oldest, func(to io.Writer, from io.ReadSeeker, _ time.Time) error {
			fmt.Fprintln(to, "half of a fi")
			close(entered)
			<-leave
			return nil
		})
		line := []byte(strings.Repeat("x", 40<<10) + "\n")
		for range 2 {
			if _, err := f.Write(line[len(line)/2:]); err != nil {
				t.Fatal(err)
			}
		}
		<-entered
		f.Write([]byte("last\n"))
		want := append(slices.Concat(line[len(line)/2:], line[len(line)/2:]), "last\n"...)
		if dies {
			part := filepath.Join(dir, capture.PartName(f.name))
			if err := os.WriteFile(filepath.Join(dir, freshName(f.name)), line, 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := Recover(f.options.Dir, dir, f.options.File, nil)
			if _, missing := os.Stat(part); err != nil || len(list) != 1 || missing == nil {
				t.Fatal(list, err)
			}
		} else {
			closed := make(chan error)
			go func() { closed <- set.Close() }()
			await.Until(t, "it is being closed", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.closing
			})
			close(leave)
			if err := <-closed; err != nil {
				t.Fatal(err)
			}
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 {
			t.Fatalf("left are %v, %v", left, err)
		}
		got, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("it has %d bytes of %d, %v", len(got), len(want), err)
		}
		if dies {
			close(leave)
		}
	}
}
