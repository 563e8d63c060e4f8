package privsep

import (
	"context"
	"os"

	"diagsh/internal/access"
)

// A Running is a session process as the front has it: the other ends of its descriptors, and its
// end.
type Running struct {
	c       *connection
	started uint64 // the number of the request that started it
	files   []*os.File
}

// Spawn runs a program for a login, in a process that the appliance starts. It gives up when ctx
// ends before the process runs.
func (f *Front) Spawn(ctx context.Context, login string, program access.Program) (*Running, error) {
	c, _, err := f.open(ctx, request{Do: "spawn", Login: login, Kind: program.Kind})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.close() })
	_, files, err := c.ask(request{Do: "start", Program: &program})
	if err == nil && !stop() {
		err = ctx.Err()
	}
	r := &Running{c: c, started: 2, files: files}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Files returns the other ends of the program's descriptors: the master of its terminal, or its
// input, output and errors.
func (r *Running) Files() []*os.File { return r.files }

// Signal sends the program a signal by its name without SIG.
func (r *Running) Signal(name string) error {
	return r.c.tell(request{Do: "signal", Signal: name})
}

// HangUp asks the appliance to end the program.
func (r *Running) HangUp() error { return r.c.tell(request{Do: "hangUp"}) }

// Wait waits for the end of the program. It is called once.
func (r *Running) Wait() (access.Ended, error) {
	var a reply
	if err := readFrame(r.c.conn, maxReplyFrame, &a); err != nil {
		return access.Ended{}, noReply(err)
	}
	switch {
	case a.Error != nil:
		return access.Ended{}, a.Error
	case a.Number != r.started || a.Ended == nil:
		return access.Ended{}, outOfStep("no word about the end of a program")
	}
	return *a.Ended, nil
}

// Close closes what the front has of the program, and hangs it up if it runs.
func (r *Running) Close() error {
	closeAll(r.files)
	return r.c.close()
}

// tell writes a request that has no reply.
func (c *connection) tell(q request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	c.asked++
	q.Number = c.asked
	return writeFrame(c.conn, q)
}
