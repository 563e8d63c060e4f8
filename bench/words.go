package main

import (
	"strings"
	"sync"
)

// words are the output of a program. ready is closed once word occurs in it.
type words struct {
	word  string
	ready chan struct{}

	mutex sync.Mutex
	said  strings.Builder
	heard bool
}

func newWords(word string) *words { return &words{word: word, ready: make(chan struct{})} }

func (w *words) Write(b []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.said.Write(b)
	if !w.heard && strings.Contains(w.said.String(), w.word) {
		w.heard = true
		close(w.ready)
	}
	return len(b), nil
}

func (w *words) String() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.said.String()
}
