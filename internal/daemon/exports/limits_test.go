package exports

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"
)

func TestBucketLetsBytesPassAtItsRate(t *testing.T) {
	b := &bucket{}
	now := time.Now()
	if wait := b.take(1<<30, now); wait != 0 || b.share(1<<20) != 1<<20 {
		t.Errorf("without a rate it waits %v", wait)
	}
	b.setRate(8000)
	b.at = now
	if n := b.share(1 << 20); n != 1000 {
		t.Errorf("a share is %d bytes", n)
	}
	total := time.Duration(0)
	for range 80 { // ten seconds' worth, each after the last one's wait
		wait := b.take(1000, now)
		total, now = total+wait, now.Add(wait)
	}
	if total < 9900*time.Millisecond || total > 10100*time.Millisecond {
		t.Errorf("80,000 bytes at 8,000 a second took %v", total)
	}
	now = now.Add(time.Hour) // of which a quarter of a second is kept
	if wait := b.take(2000, now); wait != 0 {
		t.Errorf("after a rest it waits %v", wait)
	}
	if wait := b.take(8000, now); wait != time.Second {
		t.Errorf("a rest is worth more than it should be: %v", wait)
	}
}

// A reader that waits for its turn ends with its context.
func TestLimitedReaderEndsWithItsContext(t *testing.T) {
	b := &bucket{}
	b.setRate(1024)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, &limited{ctx, bytes.NewReader(make([]byte, 10<<20)), []*bucket{b, {}}, func(int) {}})
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it reads on")
	}
}

func TestMeter(t *testing.T) {
	var m meter
	now := time.Now()
	if m.rate(now) != 0 {
		t.Error("a copy that has not begun has a rate")
	}
	for i := range 301 {
		m.add(now.Add(time.Duration(i)*100*time.Millisecond), int64(i)*1000)
	}
	now = now.Add(30 * time.Second)
	if r := m.rate(now); r < 9500 || r > 10500 {
		t.Errorf("10,000 bytes a second are measured as %d", r)
	}
	if len(m.marks) > 100 {
		t.Errorf("it keeps %d marks", len(m.marks))
	}
	if r := m.rate(now.Add(30 * time.Second)); r > 3000 {
		t.Errorf("a copy that stands still for 30 s has the rate %d", r)
	}
	m.add(now, 0)
	if m.rate(now.Add(time.Second)) != 0 {
		t.Error("a copy that began anew has a rate")
	}
}
