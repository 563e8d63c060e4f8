package ssh

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/hostkeys"
	"diagsh/internal/menu"
	"diagsh/internal/spawn"
	"diagsh/internal/test/await"
)

const (
	testUser     = "admin"
	testPassword = "correct horse"
)

// patience is how long a test waits for what should happen at once, on a busy machine.
const patience = 20 * time.Second

// A rig is a running server with a fake appliance behind it.
type rig struct {
	t         testing.TB
	appliance *fakeAppliance
	server    *Server
	address   string
	port      string
	dir       string // of the client: its key, its list of known hosts
	key       ssh.Signer
	keyFile   string
	log       lockedBuffer
}

// A lockedBuffer keeps what several goroutines write.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// sharedHostKeys are made once: the RSA key takes a while. Their folder is of the tests as a whole.
var sharedHostKeys = sync.OnceValues(func() (*hostkeys.Keys, error) {
	return hostkeys.Open(filepath.Join(hostKeyDir, "host"), slog.New(slog.DiscardHandler))
})

func newRig(t testing.TB, limits Limits) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), appliance: newFakeAppliance(t)}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	r.key, err = ssh.NewSignerFromKey(private)
	check(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	check(t, err)
	r.keyFile = filepath.Join(r.dir, "id")
	check(t, os.WriteFile(r.keyFile, pem.EncodeToMemory(block), 0o600))
	r.appliance.key = r.key.PublicKey().Marshal()
	r.appliance.spawner, err = spawn.New(spawn.Options{Grace: limits.Grace})
	check(t, err)

	logs := io.MultiWriter(testLog{t}, &r.log)
	r.server, err = New(t.Context(), Options{
		Addr:      "127.0.0.1:0",
		Appliance: r.appliance,
		Limits:    limits,
		Log:       slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	check(t, err)
	r.address = r.server.Addr().String()
	_, r.port, _ = net.SplitHostPort(r.address)

	var known strings.Builder
	for _, key := range r.server.HostKeys() {
		fmt.Fprintf(&known, "[127.0.0.1]:%s %s", r.port, ssh.MarshalAuthorizedKey(key))
	}
	check(t, os.WriteFile(filepath.Join(r.dir, "known_hosts"), []byte(known.String()), 0o600))

	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := r.appliance.open(); n != 0 {
			t.Errorf("%d logins were not closed", n)
		}
	})
	return r
}

// config is that of a Go client with a key.
func (r *rig) config() *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User:            testUser,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(r.key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Timeout:         patience,
	}
}

// dial logs in.
func (r *rig) dial() *ssh.Client {
	r.t.Helper()
	c, err := ssh.Dial("tcp", r.address, r.config())
	check(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	return c
}

// dialFrom logs in from another address of the loopback network, unless ctx is done before.
func (r *rig) dialFrom(ctx context.Context, source string, config *ssh.ClientConfig) (*ssh.Client, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	raw, err := d.DialContext(ctx, "tcp", r.address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn, channels, requests, err := ssh.NewClientConn(raw, r.address, config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// session opens a session of a Go client.
func (r *rig) session(c *ssh.Client) *ssh.Session {
	r.t.Helper()
	s, err := c.NewSession()
	check(r.t, err)
	r.t.Cleanup(func() { s.Close() })
	return s
}

// A fakeAppliance is the Appliance of the tests: one user, a folder with files, a record of what
// was asked.
type fakeAppliance struct {
	t       testing.TB
	keys    *hostkeys.Keys
	dir     string
	key     []byte
	spawner *spawn.Spawner
	text    string                                          // the banner
	delay   func(ctx context.Context, c access.Credentials) // before a login is answered

	loggedOut chan string // logins as they end

	mu        sync.Mutex
	role      menu.Role
	idle      int // seconds
	logins    map[string]access.Login
	refused   []access.Credentials
	attached  []*attached
	downloads []string
	count     int
	asked     int
	signed    int
	listed    int

	visitors []string
	refusal  error // of every login
	knocks   chan access.Knock
}

// attached is a session as the appliance sees it: its end of the process's descriptor 3.
type attached struct {
	kind string
	peer net.Conn
}

// awaitEnd waits until nobody has descriptor 3 any more: the process has ended.
func (a *attached) awaitEnd(t testing.TB, within time.Duration) {
	t.Helper()
	a.peer.SetReadDeadline(time.Now().Add(within))
	if _, err := a.peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the session process still runs after %v: %v", within, err)
	}
}

func newFakeAppliance(t testing.TB) *fakeAppliance {
	t.Helper()
	keys, err := sharedHostKeys()
	check(t, err)
	return &fakeAppliance{
		t:         t,
		keys:      keys,
		dir:       t.TempDir(),
		text:      "Authorised users only.\n",
		role:      menu.Administrator,
		logins:    map[string]access.Login{},
		loggedOut: make(chan string, 1000),
		knocks:    make(chan access.Knock, 1000),
	}
}

func (f *fakeAppliance) Banner(context.Context) (string, error) { return f.text, nil }

func (f *fakeAppliance) KeyKnown(_ context.Context, user, _ string, key []byte) (bool, error) {
	return user == testUser && bytes.Equal(key, f.key), nil
}

func (f *fakeAppliance) HostKeys(context.Context) ([][]byte, error) { return f.keys.Public(), nil }

func (f *fakeAppliance) Client(ctx context.Context) (Client, error) {
	c := &fakeClient{fakeAppliance: f, ctx: ctx}
	rand.Read(c.cookie[:])
	return c, nil
}

// A fakeClient is what a connection needs of the appliance.
type fakeClient struct {
	*fakeAppliance
	ctx     context.Context
	cookie  [16]byte
	session []byte // the first hash that was signed
	login   string
}

func (c *fakeClient) Cookie() [16]byte { return c.cookie }

func (c *fakeClient) Sign(algorithm, hash string, exchange []byte) ([]byte, error) {
	var parts struct {
		ClientVersion, ServerVersion, ClientInit, ServerInit, HostKey []byte
		Rest                                                          []byte `ssh:"rest"`
	}
	check(c.t, ssh.Unmarshal(exchange, &parts))
	key, err := ssh.ParsePublicKey(parts.HostKey)
	check(c.t, err)
	h := map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}[hash].New()
	h.Write(exchange)
	sum := h.Sum(nil)
	if c.session == nil {
		c.session = sum
		if !bytes.Equal(parts.ServerInit[1:17], c.cookie[:]) {
			c.t.Errorf("the first SSH_MSG_KEXINIT has the cookie %x, not %x", parts.ServerInit[1:17], c.cookie)
		}
	}
	c.mu.Lock()
	c.signed++
	c.mu.Unlock()
	return c.keys.Sign(c.ctx, key.Type(), algorithm, sum)
}

func (c *fakeClient) Login(credentials access.Credentials) (access.Login, error) {
	l, err := c.logIn(c.ctx, credentials, c.session)
	if err == nil {
		c.login = l.ID
	}
	return l, err
}

func (c *fakeClient) Close() error {
	if c.login != "" {
		c.logOut(c.login)
	}
	return nil
}

// signatures counts those that were made.
func (f *fakeAppliance) signatures() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.signed
}

// proves reports whether credentials hold a signature for the session (RFC 4252 section 7).
func proves(c access.Credentials, session []byte) bool {
	key, err := ssh.ParsePublicKey(c.Key)
	var signature ssh.Signature
	if err != nil || ssh.Unmarshal(c.Signature, &signature) != nil {
		return false
	}
	return key.Verify(ssh.Marshal(struct {
		Session   []byte
		Message   byte
		User      string
		Service   string
		Method    string
		Signed    bool
		Algorithm string
		Key       []byte
	}{session, 50, c.User, "ssh-connection", "publickey", true, c.Algorithm, c.Key}), &signature) == nil
}

func (f *fakeAppliance) logIn(ctx context.Context, c access.Credentials, session []byte) (access.Login, error) {
	if f.delay != nil {
		f.delay(ctx, c)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.refusal != nil {
		return access.Login{}, f.refusal
	}
	if c.User != testUser || c.Key == nil && string(c.Password) != testPassword ||
		c.Key != nil && (!bytes.Equal(c.Key, f.key) || !proves(c, session)) {
		f.refused = append(f.refused, c)
		return access.Login{}, menu.Errorf(menu.Denied, "Login refused")
	}
	f.count++
	l := access.Login{ID: fmt.Sprintf("login-%d", f.count), Idle: f.idle}
	f.logins[l.ID] = l
	return l, nil
}

func (f *fakeAppliance) Visitors(context.Context) ([]string, error) { return f.visitors, nil }

func (f *fakeAppliance) Knocked(_ context.Context, k access.Knock) error {
	f.knocks <- k
	return nil
}

func (f *fakeAppliance) logOut(login string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.logins[login]; !ok {
		f.t.Errorf("logout of %q, which is not logged in", login)
	}
	delete(f.logins, login)
	f.loggedOut <- login
}

func (f *fakeAppliance) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.logins)
}

func (f *fakeAppliance) Spawn(_ context.Context, login string, program access.Program) (Running, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.logins[login]; !ok {
		return nil, menu.Errorf(menu.Denied, "The login has ended")
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "appliance"), os.NewFile(uintptr(fds[1]), "session")
	defer ours.Close()
	defer theirs.Close()
	peer, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(peer, "%s %s\n", login, program.Kind)
	p, err := f.spawner.Start(program, theirs)
	if err != nil {
		return nil, err
	}
	f.attached = append(f.attached, &attached{program.Kind, peer})
	return fakeRunning{p}, nil
}

// fakeRunning is a process that the same process has started and speaks for.
type fakeRunning struct{ *spawn.Process }

func (r fakeRunning) HangUp() error {
	r.Process.HangUp()
	return nil
}

func (r fakeRunning) Close() error {
	r.CloseFiles()
	return nil
}

// lastAttachedWhen waits until so many sessions have begun.
func (f *fakeAppliance) lastAttachedWhen(t testing.TB, count int) *attached {
	t.Helper()
	await.Until(t, "a session", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.attached) >= count
	})
	return f.lastAttached()
}

// lastAttached is the session that began last.
func (f *fakeAppliance) lastAttached() *attached {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attached[len(f.attached)-1]
}

func (f *fakeAppliance) Files(_ context.Context, login string) (Files, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.logins[login]; !ok {
		return nil, menu.Errorf(menu.Denied, "The login has ended")
	}
	return &fakeFiles{f}, nil
}

// put makes a file of the diagnostic directory.
func (f *fakeAppliance) put(name string, content []byte) {
	f.t.Helper()
	check(f.t, os.WriteFile(filepath.Join(f.dir, name), content, 0o600))
}

func (f *fakeAppliance) setRole(r menu.Role) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.role = r
}

func (f *fakeAppliance) allows(role menu.Role) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.role != menu.Administrator && f.role != role {
		return menu.Errorf(menu.Denied, "Your role does not allow this")
	}
	return nil
}

// downloaded is the audit: file names with the bytes that were read.
func (f *fakeAppliance) downloaded() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.downloads)
}

// testLog shows the server's log with the test that failed.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need makes sure that a program is there. In CI nothing is skipped.
func need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: install the Debian package %s", program, debianPackage)
	}
	t.Skipf("%s is missing: install the Debian package %s", program, debianPackage)
	return ""
}

// pipe is a connection within the process that buffers, unlike net.Pipe: both ends of SSH speak
// first.
func pipe(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	conns := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		conns[i], err = net.FileConn(f)
		check(t, err)
		f.Close()
		t.Cleanup(func() { conns[i].Close() })
	}
	return conns[0], conns[1]
}
