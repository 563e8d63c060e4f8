package privsep

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// patience is how long a test waits for what should happen at once, on a busy machine.
const patience = 20 * time.Second

// frontOf returns a front that has logged op in.
func frontOf(t testing.TB, d *fakeAppliance) *Front {
	t.Helper()
	f, _ := newMonitor(t, d)
	f.adopt("login-op")
	return NewFront(f.Dial)
}

// A fakeSpawner starts sessions that do nothing.
type fakeSpawner struct {
	started chan *fakeChild
	refusal error
}

// A fakeChild ends when it is hung up or told to.
type fakeChild struct {
	program    access.Program
	connection *os.File // its descriptor 3
	theirs     []*os.File
	files      []*os.File
	signals    chan string
	hungUp     chan struct{}
	once       sync.Once
	end        chan access.Ended
}

func (s *fakeSpawner) Start(program access.Program, connection *os.File) (Child, error) {
	if s.refusal != nil {
		return nil, s.refusal
	}
	c := &fakeChild{
		program: program,
		signals: make(chan string, 100),
		hungUp:  make(chan struct{}),
		end:     make(chan access.Ended, 1),
	}
	fd, err := unix.FcntlInt(connection.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c.connection = os.NewFile(uintptr(fd), "descriptor 3")
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		c.theirs, c.files = append(c.theirs, w), append(c.files, r)
		if program.Terminal != nil {
			break
		}
	}
	s.started <- c
	return c, nil
}

// descriptor3 is the process's connection to the appliance.
func (c *fakeChild) descriptor3(t testing.TB) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(c.connection.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "appliance")
}

func (c *fakeChild) Files() []*os.File { return c.files }
func (c *fakeChild) CloseFiles()       { closeAll(c.files) }
func (c *fakeChild) HangUp()           { c.once.Do(func() { close(c.hungUp) }) }
func (c *fakeChild) Signal(name string) error {
	c.signals <- name
	return nil
}

func (c *fakeChild) Wait() (access.Ended, error) {
	defer closeAll(append(slices.Clone(c.theirs), c.connection))
	select {
	case e := <-c.end:
		return e, nil
	case <-c.hungUp:
		return access.Ended{Signal: access.SignalHangUp}, nil
	}
}

// A program gets the login's identity, tells how it ended, and hears signals; the front has the
// other ends of its descriptors.
func TestProgramOfALogin(t *testing.T) {
	d := newFake(t)
	f, spawner := newMonitor(t, d)
	front := NewFront(f.Dial)
	login, err := beginClient(t, f).Login(access.Credentials{User: "op", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	line := []byte("ping \xff\x00"[:6])
	program := access.Program{Kind: "exec", Line: line, Environment: map[string]string{"LANG": "C"}}
	running, err := front.Spawn(t.Context(), login.ID, program)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	child := <-spawner.started
	if !reflect.DeepEqual(child.program, program) {
		t.Errorf("the program is %+v", child.program)
	}
	connection := child.descriptor3(t)
	defer connection.Close()
	user := make([]byte, 2)
	if _, err := io.ReadFull(connection, user); err != nil || string(user) != "op" {
		t.Errorf("the program is %q, %v", user, err)
	}
	if len(running.Files()) != 3 {
		t.Fatalf("%d files", len(running.Files()))
	}
	child.theirs[1].WriteString("said")
	text := make([]byte, 4)
	if _, err := io.ReadFull(running.Files()[1], text); err != nil || string(text) != "said" {
		t.Errorf("read %q, %v", text, err)
	}
	if err := running.Signal(access.SignalInterrupt); err != nil {
		t.Error(err)
	}
	if got := <-child.signals; got != access.SignalInterrupt {
		t.Errorf("it was sent %q", got)
	}
	child.end <- access.Ended{Status: 7}
	if e, err := running.Wait(); err != nil || e != (access.Ended{Status: 7}) {
		t.Errorf("ended %+v, %v", e, err)
	}
	await.Until(t, "the closed end of the appliance to show", func() bool {
		return running.Signal(access.SignalInterrupt) != nil
	})
	program = access.Program{Kind: "exec", Terminal: &access.Terminal{}}
	if _, err := front.Spawn(t.Context(), login.ID, program); err != nil {
		t.Error("on a terminal:", err)
	}
	if one := <-spawner.started; len(one.files) != 1 {
		t.Errorf("%d files of a terminal", len(one.files))
	}
	spawner.refusal = menu.Errorf(menu.State, "No more of them")
	if _, err := front.Spawn(t.Context(), login.ID, access.Program{Kind: "shell"}); !hasCode(err, menu.State) {
		t.Errorf("a program that cannot be started: %v", err)
	}
}

// Whatever ends the front's connection hangs its program up.
func TestProgramIsHungUp(t *testing.T) {
	d := newFake(t)
	f, spawner := newMonitor(t, d)
	f.adopt("login-op")
	front := NewFront(f.Dial)
	for what, end := range map[string]func(*Running){
		"asked for":        func(r *Running) { r.HangUp() },
		"closed":           func(r *Running) { r.Close() },
		"a broken frame":   func(r *Running) { r.c.conn.Write([]byte("\xff\xff\xff\xff")) },
		"a wrong number":   func(r *Running) { writeFrame(r.c.conn, request{Number: 1, Do: "signal", Signal: "INT"}) },
		"another question": func(r *Running) { r.c.tell(request{Do: "login"}) },
		"a long signal":    func(r *Running) { r.c.tell(request{Do: "signal", Signal: strings.Repeat("x", maxFirstFrame)}) },
	} {
		hangsUp(t, what, front, spawner, end)
	}
	hangsUp(t, "the front is gone", front, spawner, func(*Running) { f.Close() })
}

func hangsUp(t *testing.T, what string, front *Front, spawner *fakeSpawner, end func(*Running)) {
	t.Helper()
	r, err := front.Spawn(t.Context(), "login-op", access.Program{Kind: "shell"})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer r.Close()
	child := <-spawner.started
	end(r)
	select {
	case <-child.hungUp:
	case <-time.After(patience):
		t.Errorf("%s: the program goes on", what)
	}
}

// A front that somebody took over acts for nobody but those whom it logged in itself.
func TestForeignLogins(t *testing.T) {
	d := newFake(t)
	own, _ := newMonitor(t, d)
	own.adopt("login-op")
	foreign, spawner := newMonitor(t, d)
	front := NewFront(foreign.Dial)
	denied := func(what string, err error) {
		t.Helper()
		if !hasCode(err, menu.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := front.Spawn(t.Context(), "login-op", access.Program{Kind: "shell"})
	denied("spawn", err)
	_, err = front.Files(t.Context(), "login-op")
	denied("files", err)
	beginClient(t, foreign).Close()
	if len(spawner.started) != 0 || d.has("op") {
		t.Error("a session began")
	}
	if _, ok := own.own["login-op"]; !ok {
		t.Error("the login of another front was ended")
	}
}

// The logins of a front end with it, also one that is being made, and nothing begins any more.
func TestLoginsEndWithTheirFront(t *testing.T) {
	d := newFake(t)
	f, _ := newMonitor(t, d)
	if _, err := beginClient(t, f).Login(access.Credentials{User: "op", Password: "right"}); err != nil {
		t.Fatal(err)
	}
	waits, second := make(chan error, 1), beginClient(t, f)
	go func() {
		_, err := second.Login(access.Credentials{User: "op", Password: "wait"})
		waits <- err
	}()
	<-d.began
	f.Close()
	if err := <-waits; err == nil {
		t.Error("a login was made by a front that is gone")
	}
	if got := d.loggedOut(); !slices.Equal(got, []string{"login-op"}) {
		t.Errorf("logged out: %v", got)
	}
	if _, err := f.Dial(t.Context()); err == nil {
		t.Error("a front that is gone is answered")
	}
	if f.adopt("login-ro") {
		t.Error("a front that is gone has a login")
	}
}

// What a program may be is looked at where it is started: the front may be anybody's.
func TestQuestionsThatAreNone(t *testing.T) {
	d := newFake(t)
	f, spawner := newMonitor(t, d)
	f.adopt("login-op")
	victim := fileNamed(t, "victim")
	before := openDescriptors(t)
	spawn := `{"number":1,"do":"spawn","login":"login-op","kind":"exec"}`
	long := fmt.Sprintf(`{"number":1,"do":"keyKnown","user":%q}`, strings.Repeat("u", maxFirstFrame))
	start := func(rest string) []byte { return frame(`{"number":2,"do":"start"` + rest + `}`) }
	longLine := fmt.Sprintf(`,"program":{"kind":"exec","line":%q}`, strings.Repeat("a", maxRequestFrame))
	victims := slices.Repeat([]*os.File{victim}, 200)
	for what, frames := range map[string][]sent{
		"nothing":                    {{ends: true}},
		"half a length":              {{bytes: []byte("\x00\x00"), ends: true}},
		"too long before a login":    {{bytes: frame(long)}},
		"too long with a login":      {{bytes: frame(spawn)}, {bytes: start(longLine)}},
		"broken off":                 {{bytes: frame(spawn)[:20], ends: true}},
		"start broken off":           {{bytes: frame(spawn)}, {bytes: start(`,"program":{"kind":"exec"}`)[:12], ends: true}},
		"start of nothing":           {{bytes: frame(spawn)}, {bytes: start("")}},
		"start of another kind":      {{bytes: frame(spawn)}, {bytes: start(`,"program":{"kind":"shell"}`)}},
		"another question":           {{bytes: frame(spawn)}, {bytes: frame(`{"number":2,"do":"login","program":{"kind":"exec"}}`)}},
		"a start alone":              {{bytes: frame(`{"number":1,"do":"start","program":{"kind":"exec"}}`)}},
		"kind api":                   {{bytes: frame(`{"number":1,"do":"spawn","login":"login-op","kind":"api"}`)}},
		"no login":                   {{bytes: frame(`{"number":1,"do":"spawn","kind":"exec"}`)}},
		"descriptors":                {{bytes: frame(`{"number":1,"do":"banner"}`), files: victims}},
		"descriptors with a session": {{bytes: frame(spawn), files: []*os.File{victim}}, {bytes: start(""), files: victims}},
	} {
		c, err := f.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range frames {
			var rights []byte
			if len(one.files) > 0 {
				rights = rightsOf(one.files)
			}
			c.WriteMsgUnix(one.bytes, rights, nil)
			if one.ends {
				c.CloseWrite()
			}
		}
		c.SetReadDeadline(time.Now().Add(patience))
		c.CloseWrite()
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: the connection stays: %v", what, err)
		}
		c.Close()
	}
	f.Close()
	if len(spawner.started) != 0 || d.has("op") {
		t.Error("a session began")
	}
	if n := opened(t, victim); n != 1 {
		t.Errorf("%d descriptors of the front's file are here", n)
	}
	if n := openDescriptors(t); n > before {
		t.Errorf("%d descriptors are open, %d were", n, before)
	}
}

func rightsOf(files []*os.File) []byte {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return unix.UnixRights(fds...)
}

// A connection that asks nothing is not kept.
func TestSilentFrontConnections(t *testing.T) {
	d := newFake(t)
	f, _ := newMonitor(t, d)
	f.firstRequestTime = 20 * time.Millisecond
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(binary.BigEndian.AppendUint32(nil, 100))
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection stays: %v", err)
	}
}

// A front has so many connections and no more; the next waits for one to end.
func TestFrontConnections(t *testing.T) {
	d := newFake(t)
	f, _ := newMonitor(t, d)
	f.slots = make(chan struct{}, 3)
	var open []*net.UnixConn
	for range 3 {
		c, err := f.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fourth connection: %v", err)
	}
	open[0].Close()
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	open[1].Close()
	open[2].Close()
}
