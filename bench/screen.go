package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/creack/pty"
)

// A screen is a program on a terminal of 80x24, as its user sees it.
type screen struct {
	cmd    *exec.Cmd
	master *os.File
	chunks chan chunk // closed at the end of the program
	shown  []byte     // since the last forget
}

// A chunk is what appeared at one moment.
type chunk struct {
	at   time.Time
	text []byte
}

func open(cmd *exec.Cmd) (*screen, error) {
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return nil, err
	}
	s := &screen{cmd: cmd, master: master, chunks: make(chan chunk, 1024)}
	go s.read()
	return s, nil
}

func (s *screen) read() {
	defer close(s.chunks)
	for {
		buffer := make([]byte, 4096)
		n, err := s.master.Read(buffer)
		if n > 0 {
			s.chunks <- chunk{time.Now(), buffer[:n]}
		}
		if err != nil {
			return // EIO: the program has ended
		}
	}
}

func (s *screen) typed(keys string) error {
	_, err := s.master.WriteString(keys)
	return err
}

// escapes matches the sequences that move, erase and colour, and at the end the beginning of one
// that is not complete yet.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[@-~]|\x1b\][^\a]*\a|\x1b[^\[\]]|\x1b(\[[0-9;?]*)?$`)

// await waits at most patience until the text shown since the last forget contains part. It returns
// the time at which the last byte of part came.
func (s *screen) await(part string) (time.Time, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case c, ok := <-s.chunks:
			if !ok {
				return time.Time{}, fmt.Errorf("the terminal was closed before %q appeared after %q", part, s.shown)
			}
			s.shown = append(s.shown, c.text...)
			if strings.Contains(escapes.ReplaceAllString(string(s.shown), ""), part) {
				return c.at, nil
			}
		case <-timeout.C:
			return time.Time{}, fmt.Errorf("%q did not appear after %q", part, s.shown)
		}
	}
}

// forget drops what is shown, once nothing more has appeared for the time of quiet.
func (s *screen) forget(quiet time.Duration) {
	for {
		select {
		case _, ok := <-s.chunks:
			if ok {
				continue
			}
		case <-time.After(quiet):
		}
		s.shown = nil
		return
	}
}

// leave types keys that end the program and waits for it.
func (s *screen) leave(keys string) error {
	if err := s.typed(keys); err != nil {
		return err
	}
	for range s.chunks {
	}
	err := s.cmd.Wait()
	s.master.Close()
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() != 255 {
		return nil // the status of the last command
	}
	return err
}
