// Package spare keeps memory of captures that have ended for captures that begin soon
// after: the first use of a page costs a virtual machine so much, whose hypervisor has to
// find it, that a capture of two seconds would cost more to begin than to make.
package spare

import (
	"sync"
	"time"
)

// A Store keeps pieces of memory, each of a kind: only one of the very kind serves a
// capture. It is for any number of goroutines.
type Store[K comparable, T any] struct {
	most int64
	keep time.Duration
	free func(T)

	mutex  sync.Mutex
	pieces []piece[K, T] // those that came last are last
	timer  *time.Timer
}

type piece[K comparable, T any] struct {
	kind  K
	bytes int64
	until time.Time
	T     T
}

// New makes a Store that has at most so many bytes, each for at most the time given. free
// gives a piece back to the kernel.
func New[K comparable, T any](most int64, keep time.Duration, free func(T)) *Store[K, T] {
	return &Store[K, T]{most: most, keep: keep, free: free}
}

// Take takes the piece of a kind that came last. False: there is none.
func (s *Store[K, T]) Take(kind K) (found T, ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i := len(s.pieces) - 1; i >= 0; i-- {
		if s.pieces[i].kind == kind {
			found = s.pieces[i].T
			s.pieces = append(s.pieces[:i:i], s.pieces[i+1:]...)
			return found, true
		}
	}
	return found, false
}

// Give keeps a piece, in the place of those that came first if there is no room, or frees
// it if there is none for it alone.
func (s *Store[K, T]) Give(kind K, bytes int64, p T) {
	if bytes > s.most || s.keep <= 0 {
		s.free(p)
		return
	}
	s.mutex.Lock()
	s.pieces = append(s.pieces, piece[K, T]{kind, bytes, time.Now().Add(s.keep), p})
	going := s.trim(s.most)
	s.wait()
	s.mutex.Unlock()
	s.freeAll(going)
}

// Bytes is how much is kept.
func (s *Store[K, T]) Bytes() (sum int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, p := range s.pieces {
		sum += p.bytes
	}
	return sum
}

// Clear frees all.
func (s *Store[K, T]) Clear() {
	s.mutex.Lock()
	going := s.trim(0)
	s.wait()
	s.mutex.Unlock()
	s.freeAll(going)
}

// trim takes out those that came first until no more than so many bytes are left. Called with mutex held.
func (s *Store[K, T]) trim(most int64) (going []piece[K, T]) {
	var sum int64
	for i := len(s.pieces) - 1; i >= 0; i-- {
		if sum += s.pieces[i].bytes; sum > most {
			going, s.pieces = s.pieces[:i+1:i+1], s.pieces[i+1:]
			break
		}
	}
	return going
}

// wait has the time of the piece be noticed that came first. Called with mutex held.
func (s *Store[K, T]) wait() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if len(s.pieces) > 0 {
		s.timer = time.AfterFunc(time.Until(s.pieces[0].until), s.expire)
	}
}

// expire frees what has been kept for its time.
func (s *Store[K, T]) expire() {
	s.mutex.Lock()
	n, now := 0, time.Now()
	for n < len(s.pieces) && !now.Before(s.pieces[n].until) {
		n++
	}
	going := s.pieces[:n:n]
	s.pieces = s.pieces[n:]
	s.wait()
	s.mutex.Unlock()
	s.freeAll(going)
}

func (s *Store[K, T]) freeAll(going []piece[K, T]) {
	for _, p := range going {
		s.free(p.T)
	}
}
