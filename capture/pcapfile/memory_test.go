package pcapfile

import (
	"fmt"
	"testing"
	"time"

	"diagsh/internal/test/await"
)

// TestBuffersArePagedAhead: buffers get their pages as they are needed, one ahead, and keep them.
func TestBuffersArePagedAhead(t *testing.T) {
	m, err := newMemory(6)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	m.more = make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		m.pageAhead()
		close(done)
	}()
	paged := func(buffers int64) {
		t.Helper()
		await.Until(t, fmt.Sprintf("the pages of %d buffers", buffers), func() bool {
			return m.bytes() == buffers*bufferSize
		})
	}
	paged(1)
	first := m.take()
	paged(2)
	second := m.take()
	paged(3)
	m.give(first)
	m.give(m.take()) // the same again and again, as if the disk keeps up
	paged(3)
	taken := []int{second}
	for range 5 {
		taken = append(taken, m.take())
	}
	paged(6)
	for i, number := range taken {
		b := m.buffer(number)
		b[0], b[len(b)-1] = byte(i), byte(i)
		m.give(number)
	}
	paged(6)
	close(m.more)
	<-done
}

// TestBuffersAreUsedAgain: the buffers of a capture serve the next one of the same size, until they
// are freed.
func TestBuffersAreUsedAgain(t *testing.T) {
	v := NewVolume(time.Minute)
	defer v.ClearSpare()
	files := func(bytes int64) *Files {
		t.Helper()
		f, err := v.NewFiles(bytes)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := files(DefaultBuffers)
	first := f.memory
	f.Close()
	if kept := v.Spare(); kept != first.bytes() || kept == 0 || kept > DefaultBuffers {
		t.Errorf("%d bytes are kept of %d", kept, first.bytes())
	}
	other := files(4 * bufferSize)
	if other.memory == first {
		t.Error("buffers of another number are used")
	}
	f = files(DefaultBuffers)
	if f.memory != first || v.Spare() != 0 {
		t.Errorf("the buffers are new; %d bytes are kept", v.Spare())
	}
	f.Close()
	other.Close()
	v.ClearSpare()
	if kept := v.Spare(); kept != 0 {
		t.Errorf("%d bytes are kept after all was given back", kept)
	}
}
