// Package capturetest has the tests that every capture.Source must pass: one suite for live rings,
// views of running captures, and files.
package capturetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"diagsh/capture"
)

// A Bench opens a source that delivers these frames, in this order, and no others. send delivers
// them once the source is open. A source that has its frames from the start does nothing then.
type Bench func(t *testing.T, frames [][]byte) (source capture.Source, send func())

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// Frames returns count different Ethernet frames: UDP from 192.0.2.1 to 192.0.2.2, port 9.
func Frames(count int) [][]byte {
	list := make([][]byte, count)
	for n := range list {
		length := 60 + n*37%1400
		f := make([]byte, 0, length)
		f = append(f, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00)
		f = append(f, 0x45, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(length-14))
		f = append(f, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
		f = append(f, 0x10, 0, 0, 9)
		f = binary.BigEndian.AppendUint16(f, uint16(length-34))
		f = append(f, 0, 0)
		f = binary.BigEndian.AppendUint32(f, uint32(n))
		list[n] = f[:length]
	}
	return list
}

// Source runs the suite.
func Source(t *testing.T, bench Bench) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Bench)
	}{
		{"gives every packet once and in order", order},
		{"ends after Finish, with what came before", end},
		{"does not wait past its time", deadline},
		{"is woken, also before it waits", wake},
		{"keeps its counters when it is closed", closed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, bench) })
	}
}

// order checks that every packet comes once and in order.
func order(t *testing.T, bench Bench) {
	for _, size := range []int{1, 7, 256} {
		frames := Frames(300)
		source, send := bench(t, frames)
		send()
		read(t, source, frames, size)
		counters(t, source, uint64(len(frames)))
	}
}

// end checks that a source ends after Finish, with the packets from before.
func end(t *testing.T, bench Bench) {
	frames := Frames(20)
	source, send := bench(t, frames)
	send()
	batch := make([]capture.Packet, 5)
	deadline := time.Now().Add(patience)
	n, err := source.Read(batch, deadline)
	for n == 0 && err == nil && time.Now().Before(deadline) {
		n, err = source.Read(batch, deadline)
	}
	if n == 0 || err != nil {
		t.Fatalf("%d packets, %v", n, err)
	}
	if err := source.Finish(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for err = nil; err == nil; {
			n, err = source.Read(batch, deadline)
			if time.Now().After(deadline) {
				t.Fatal("it does not end")
			}
		}
		if n != 0 || !errors.Is(err, io.EOF) {
			t.Fatalf("the end is %d packets and %v", n, err)
		}
	}
}

// deadline checks that Read does not wait past its time.
func deadline(t *testing.T, bench Bench) {
	source, _ := bench(t, nil)
	began := time.Now()
	n, err := source.Read(make([]capture.Packet, 5), began.Add(50*time.Millisecond))
	if n != 0 || err != nil && !errors.Is(err, io.EOF) || time.Since(began) > patience {
		t.Errorf("%d packets, %v, after %v", n, err, time.Since(began))
	}
	if n, err := source.Read(make([]capture.Packet, 5), began); n != 0 || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("a time that is over: %d packets, %v", n, err)
	}
}

// wake checks that Wake ends a Read, also before it waits.
func wake(t *testing.T, bench Bench) {
	for _, early := range []bool{true, false} {
		source, _ := bench(t, nil)
		if early {
			source.Wake()
		} else {
			time.AfterFunc(20*time.Millisecond, source.Wake)
		}
		late := time.AfterFunc(patience, func() {
			t.Error("it was not woken")
			source.Wake()
		})
		if n, err := source.Read(make([]capture.Packet, 5), time.Time{}); n != 0 ||
			err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%d packets, %v", n, err)
		}
		late.Stop()
	}
}

// closed checks that the counters survive Close.
func closed(t *testing.T, bench Bench) {
	frames := Frames(10)
	source, send := bench(t, frames)
	send()
	read(t, source, frames, 10)
	for range 2 {
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
	source.Wake()
	counters(t, source, uint64(len(frames)))
}

func read(t *testing.T, source capture.Source, frames [][]byte, size int) {
	t.Helper()
	batch := make([]capture.Packet, size)
	deadline := time.Now().Add(patience)
	last, next := int64(0), 0
	for next < len(frames) {
		n, err := source.Read(batch, deadline)
		if n > size {
			t.Fatalf("%d packets in a batch of %d", n, size)
		}
		for _, p := range batch[:n] {
			if next == len(frames) {
				t.Fatal("a packet too many")
			}
			if !bytes.Equal(p.Data, frames[next]) || int(p.Length) != len(frames[next]) || p.Interface != 0 {
				t.Fatalf("packet %d is %d bytes of %d, %x, of interface %d", next, len(p.Data), p.Length, p.Data,
					p.Interface)
			}
			if p.Time < last {
				t.Errorf("packet %d was earlier than the one before it", next)
			}
			last = p.Time
			next++
		}
		if err != nil || n == 0 && time.Now().After(deadline) {
			t.Fatalf("it ended after %d packets of %d: %v", next, len(frames), err)
		}
	}
	if n, err := source.Read(batch, time.Now().Add(50*time.Millisecond)); n != 0 ||
		err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("behind the last packet: %d packets, %v", n, err)
	}
}

func counters(t *testing.T, source capture.Source, want uint64) {
	t.Helper()
	var received, dropped uint64
	for _, c := range source.Counters() {
		received += c.Received
		dropped += c.Dropped
	}
	if received != want || dropped != 0 {
		t.Errorf("it counts %d packets received and %d dropped, of %d", received, dropped, want)
	}
}
