package ssh

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
)

// spawnTime bounds how long a new session waits for the appliance.
const spawnTime = 10 * time.Second

// The sizes in bytes of the buffers between a client and its program. The kernel hands out at most
// 4 KiB of a terminal at a time (N_TTY_BUF_SIZE), and most terminals are idle.
const (
	pipeBuffer     = 32 << 10
	terminalBuffer = 4 << 10
)

// A process is a running session process, with the other ends of its descriptors.
type process struct {
	Running
	input  *os.File // for what the client sends
	output *os.File
	errors *os.File // nil for a terminal, whose output has both
}

// runProcess runs a session process on the channel until it has ended and all its output is
// delivered.
func (s *session) runProcess(kind, line string) exit {
	defer s.client.work()()
	ctx, cancel := context.WithTimeout(s.ctx, spawnTime)
	defer cancel()
	program := access.Program{Kind: kind, Line: []byte(line), Environment: s.environment}
	if s.terminal != nil {
		program.Terminal = s.terminal.wanted()
	}
	running, err := s.client.server.appliance.Spawn(ctx, s.client.login.ID, program)
	if err != nil {
		return s.fail(err)
	}
	defer running.Close()
	p := newProcess(running)
	if s.terminal != nil {
		if err := s.terminal.runs(p.output); err != nil {
			return s.fail(err)
		}
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()

	unhook := context.AfterFunc(s.ctx, p.hangUp)
	defer unhook()
	p.pump(s.channel, s.client.present, s.cancel)
	ended, err := p.Wait()
	if err != nil {
		return s.fail(err)
	}
	return exit{status: ended.Status, signal: ended.Signal}
}

// newProcess names the descriptors of a session process.
func newProcess(r Running) *process {
	files := r.Files()
	if len(files) == 1 {
		return &process{Running: r, input: files[0], output: files[0]}
	}
	return &process{Running: r, input: files[0], output: files[1], errors: files[2]}
}

// hangUp ends the process: its terminal goes away. The input of a pipe does not end before the
// process, since that would look like the end of the client's input.
func (p *process) hangUp() {
	p.HangUp()
	p.output.Close()
	if p.errors != nil {
		p.errors.Close()
	}
}

// pump carries bytes both ways until the process has closed its output. Then every byte of it has
// been written to the connection. It calls lost when the client takes no more, or is no longer
// present.
func (p *process) pump(channel ssh.Channel, present func() bool, lost func()) {
	go func() {
		io.CopyBuffer(onlyWriter{p.input}, channel, p.buffer())
		if p.errors == nil {
			return // a terminal has no end of input
		}
		// The client has no more input (RFC 4254 section 5.3), or the connection is gone, which
		// reads the same. Half a configuration would be taken for a whole one.
		if present() {
			p.input.Close()
		} else {
			lost()
		}
	}()
	outputs := make(chan struct{})
	if p.errors != nil {
		go func() {
			defer close(outputs)
			drain(channel.Stderr(), p.errors, p.buffer(), lost)
		}()
	} else {
		close(outputs)
	}
	drain(channel, p.output, p.buffer(), lost)
	<-outputs
}

// buffer returns a buffer of the size for the process.
func (p *process) buffer() []byte {
	if p.errors == nil {
		return make([]byte, terminalBuffer)
	}
	return make([]byte, pipeBuffer)
}

// An onlyWriter hides the other methods of a file: its ReadFrom has a buffer of its own.
type onlyWriter struct{ io.Writer }

// drain copies until the last writer has closed its end. A terminal's master reports that by EIO.
// It calls lost if the client takes no more.
func drain(to io.Writer, from *os.File, buffer []byte, lost func()) {
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				lost()
				return
			}
		}
		if err != nil {
			return
		}
	}
}
