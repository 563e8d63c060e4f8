package vt

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A Watcher sits before a screen and waits for what it shows.
type Watcher struct {
	mu      sync.Mutex
	screen  *Screen
	end     []byte        // the last bytes that were shown, for whoever looks for the reason of a failure
	changed chan struct{} // closed and replaced when something is shown
	gone    chan struct{} // closed when no more will come
}

// Watch shows on a screen what can be read, until there is no more.
func Watch(r io.Reader, width, height int) *Watcher {
	w := &Watcher{screen: New(width, height), changed: make(chan struct{}), gone: make(chan struct{})}
	go w.read(r)
	return w
}

func (w *Watcher) read(r io.Reader) {
	defer close(w.gone)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			w.mu.Lock()
			w.screen.Write(buf[:n])
			w.end = append(w.end, buf[:n]...)
			w.end = w.end[max(0, len(w.end)-300):]
			close(w.changed)
			w.changed = make(chan struct{})
			w.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// Gone is closed when no more will come.
func (w *Watcher) Gone() <-chan struct{} { return w.gone }

// Look shows the screen as it is now.
func (w *Watcher) Look(at func(*Screen)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at(w.screen)
}

// Text is the screen's text with | at the cursor.
func (w *Watcher) Text() (text string) {
	w.Look(func(s *Screen) { text = s.Marked() })
	return text
}

// All is the whole text, what scrolled away included.
func (w *Watcher) All() (text string) {
	w.Look(func(s *Screen) { text = s.All() })
	return text
}

// Resize is Screen.Resize.
func (w *Watcher) Resize(width, height int) { w.Look(func(s *Screen) { s.Resize(width, height) }) }

// Until waits for a state of the screen. The error shows what is there instead.
func (w *Watcher) Until(patience time.Duration, ok func(*Screen) bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		done, changed := ok(w.screen), w.changed
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-w.gone:
			w.mu.Lock()
			done := ok(w.screen)
			w.mu.Unlock()
			if done {
				return nil
			}
			return fmt.Errorf("the terminal ended; it shows:\n%s", w.Text())
		case <-deadline.C:
			w.mu.Lock()
			defer w.mu.Unlock()
			return fmt.Errorf("it did not come in %s; the screen shows:\n%s\nthe last bytes: %q", patience, w.screen.Marked(), w.end)
		}
	}
}
