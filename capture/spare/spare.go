// Package spare keeps memory of ended captures for captures that start soon after. On a virtual
// machine the first use of a page is expensive, because the hypervisor has to find it. A capture of
// two seconds would cost more to start than to run.
package spare

import (
	"sync"
	"time"
)

// A Store keeps pieces of memory by kind; a piece serves only a capture that asks for exactly its
// kind. It is safe for concurrent use.
type Store[K comparable, T any] struct {
	most int64
	keep time.Duration
	free func(T)

	mutex  sync.Mutex
	pieces []piece[K, T] // the newest is last
	timer  *time.Timer
}

type piece[K comparable, T any] struct {
	kind  K
	bytes int64
	until time.Time
	T     T
}

// New returns a Store of at most most bytes, each piece kept for at most keep. free gives a piece
// back to the kernel.
func New[K comparable, T any](most int64, keep time.Duration, free func(T)) *Store[K, T] {
	return &Store[K, T]{most: most, keep: keep, free: free}
}

// Take returns the newest piece of a kind. It reports false if there is none.
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

// Give keeps a piece. It drops the oldest ones if there is no room, and frees the piece itself if
// it does not fit alone.
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

// Bytes returns how much is kept.
func (s *Store[K, T]) Bytes() (sum int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, p := range s.pieces {
		sum += p.bytes
	}
	return sum
}

// Clear frees all pieces.
func (s *Store[K, T]) Clear() {
	s.mutex.Lock()
	going := s.trim(0)
	s.wait()
	s.mutex.Unlock()
	s.freeAll(going)
}

// trim removes the oldest pieces until at most most bytes are left. The caller holds mutex.
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

// wait starts the timer for the oldest piece. The caller holds mutex.
func (s *Store[K, T]) wait() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if len(s.pieces) > 0 {
		s.timer = time.AfterFunc(time.Until(s.pieces[0].until), s.expire)
	}
}

// expire frees the pieces whose time is over.
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
