package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A Client is the session's side of the boundary: one connection, whose identity is the caller's.
type Client struct {
	conn *watchedConn
	http *http.Client

	// Columns, if set, returns the width of the terminal that output goes to.
	Columns func() int

	// ASCII means that the terminal shows no other characters.
	ASCII bool
}

// ASCII is the value of a run's query parameter "characters" for a terminal that shows no others.
const ASCII = "ascii"

// A watchedConn notices when its peer has gone. HTTP/2 reads all the time, so that needs no
// request.
type watchedConn struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.once.Do(func() { close(c.gone) })
	}
	return n, err
}

// Inherit returns a client on the connection that a session process inherited, which it takes over.
func Inherit(f *os.File) (*Client, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	f.Close()
	return newClient(c)
}

// Dial connects to an appliance's own socket.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return newClient(c)
}

var errConnectionGone = errors.New("the connection to the appliance is gone")

// newClient returns a client on a connection. It does not use a pool, because the connection is the
// identity. A pool would dial again if the next request came before it had this connection back.
func newClient(conn net.Conn) (*Client, error) {
	c := &watchedConn{Conn: conn, gone: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols,
		// A frame of output fits into one of HTTP/2. Else it would be four, each with a system call
		// at both ends.
		HTTP2:              &http.HTTP2Config{MaxReadFrameSize: 2 * frameSize},
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}
	one, err := transport.NewClientConn(context.Background(), "http", "appliance:80")
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Client{conn: c, http: &http.Client{Transport: one}}, nil
}

// Close ends the session.
func (c *Client) Close() error { return c.conn.Close() }

// Ended returns a channel that is closed when the appliance has ended the session, after the first
// request.
func (c *Client) Ended() <-chan struct{} { return c.conn.gone }

// Gone reports whether err means that the appliance has gone, and with it the session.
func Gone(err error) bool {
	var known *menu.Error
	return err != nil && !errors.As(err, &known) && !errors.Is(err, context.Canceled)
}

// Greeting returns the caller, and what a login is told.
func (c *Client) Greeting(ctx context.Context) (access.Greeting, error) {
	var g access.Greeting
	err := c.call(ctx, "GET", "session", nil, &g)
	return g, err
}

// Hostname returns the present hostname.
func (c *Client) Hostname(ctx context.Context) (string, error) {
	var v struct{ Hostname string }
	err := c.call(ctx, "GET", "hostname", nil, &v)
	return v.Hostname, err
}

// Leaving returns what the user should know before leaving, or "".
func (c *Client) Leaving(ctx context.Context) (string, error) {
	var v struct{ Notice string }
	err := c.call(ctx, "GET", "leaving", nil, &v)
	return v.Notice, err
}

// Menu returns a menu as it is now.
func (c *Client) Menu(ctx context.Context, path []string) (MenuView, error) {
	var v MenuView
	err := c.call(ctx, "GET", "menu/"+join(path), nil, &v)
	return v, err
}

// Help returns the help text of a menu or command.
func (c *Client) Help(ctx context.Context, path []string) (string, error) {
	var v struct{ Text string }
	err := c.call(ctx, "GET", "help/"+join(path), nil, &v)
	return v.Text, err
}

// Parse returns the commands of a line.
func (c *Client) Parse(ctx context.Context, q LineRequest) ([]menu.Call, error) {
	var v struct{ Calls []menu.Call }
	err := c.call(ctx, "POST", "parse", q, &v)
	return v.Calls, err
}

// Complete returns what may follow at the end of a line.
func (c *Client) Complete(ctx context.Context, q LineRequest) (menu.Completion, error) {
	var v menu.Completion
	err := c.call(ctx, "POST", "complete", q, &v)
	return v, err
}

// Ask returns the next question of a dialogue, or nil if there is none.
func (c *Client) Ask(ctx context.Context, path []string, q AskRequest) (*menu.Question, error) {
	var v struct{ Question *menu.Question }
	err := c.call(ctx, "POST", "ask/"+join(path), q, &v)
	return v.Question, err
}

// Assist returns what may follow in the text begun for one argument.
func (c *Client) Assist(ctx context.Context, path []string, q AssistRequest) (menu.Completion, error) {
	var v menu.Completion
	err := c.call(ctx, "POST", "assist/"+join(path), q, &v)
	return v, err
}

// Remember adds a line to the user's history.
func (c *Client) Remember(ctx context.Context, line string) error {
	return c.call(ctx, "POST", "history", map[string]string{"line": line}, nil)
}

// interruptGrace is how long an interrupted command may take to end.
const interruptGrace = 10 * time.Second

// Run runs a command and passes each frame of its output to show. When ctx ends it interrupts the
// command, and shows what still comes. It gives the run up if the command does not end in time,
// when abandon ends, or at an error of show.
func (c *Client) Run(ctx, abandon context.Context, path []string, args menu.Arguments, form menu.Form,
	show func(Frame) error) (*menu.Error, error) {
	return c.Converse(ctx, abandon, path, args, form, Conversation{}, show)
}

// Converse is Run for a command that takes lines while it runs.
func (c *Client) Converse(ctx, abandon context.Context, path []string, args menu.Arguments, form menu.Form,
	said Conversation, show func(Frame) error) (*menu.Error, error) {
	request, cancel := context.WithCancel(abandon)
	defer cancel()
	if args == nil {
		args = menu.Arguments{} // null is no object
	}
	response, err := c.send(request, "POST", "run/"+join(path)+c.runQuery(form, said), args, FramesType)
	if err != nil {
		var refused *menu.Error
		if errors.As(err, &refused) {
			return refused, nil
		}
		if request.Err() != nil {
			return menu.Errorf(menu.Interrupted, "Interrupted"), nil
		}
		return nil, err
	}
	defer response.Body.Close()
	stop := context.AfterFunc(ctx, func() {
		if c.call(request, "POST", "interrupt/"+response.Header.Get(RunHeader), nil, nil) != nil {
			return // the run has ended
		}
		time.AfterFunc(interruptGrace, cancel)
	})
	defer stop()
	if said.Lines != nil {
		var saying sync.WaitGroup
		saying.Go(func() { c.converse(request, response.Header.Get(RunHeader), said) })
		defer saying.Wait()
		defer cancel()
	}
	frames := frameReader{r: bufio.NewReaderSize(response.Body, 2*frameSize)}
	next := frames.next
	if response.Header.Get("Content-Type") == BytesType {
		next = bytesOf(response)
	}
	failure, err := showFrames(next, show)
	if errors.Is(err, errConnectionGone) && request.Err() != nil {
		return menu.Errorf(menu.Interrupted, "Interrupted"), nil
	}
	return failure, err
}

// runQuery returns the query of a run, which says how its output is wanted.
func (c *Client) runQuery(form menu.Form, said Conversation) string {
	query := "?form=text"
	if form == menu.JSONForm {
		query = "?form=json"
	}
	if c.Columns != nil {
		query += "&columns=" + strconv.Itoa(c.Columns())
	}
	query += said.query()
	if c.ASCII {
		query += "&characters=" + ASCII
	}
	return query
}

// showFrames shows the frames of a run up to the last one, and returns the failure that the run
// ended with.
func showFrames(next func() (Frame, error), show func(Frame) error) (*menu.Error, error) {
	for {
		f, err := next()
		if err != nil {
			return nil, errConnectionGone
		}
		if f.Exit == nil {
			if err := show(f); err != nil {
				return nil, err
			}
			continue
		}
		if len(f.Text) > 0 {
			if err := show(Frame{Text: f.Text}); err != nil {
				return nil, err
			}
		}
		return f.Error, nil
	}
}

// maxFrame bounds the output in one frame in bytes. A server sends much less.
const maxFrame = 64 << 20

// A frameReader reads frames: the line of each, and the output after it.
type frameReader struct {
	r    *bufio.Reader
	text []byte // of the last frame; the next one reuses it
}

func (f *frameReader) next() (Frame, error) {
	var frame Frame
	line, err := f.r.ReadBytes('\n')
	if err != nil {
		return frame, err
	}
	if err := json.Unmarshal(line, &frame); err != nil {
		return frame, err
	}
	if frame.Bytes < 0 || frame.Bytes > maxFrame {
		return frame, errConnectionGone
	}
	f.text = slices.Grow(f.text[:0], frame.Bytes)[:frame.Bytes]
	frame.Text = f.text
	_, err = io.ReadFull(f.r, frame.Text)
	return frame, err
}

// bytesOf returns a function that reads the output of a command that writes bytes, piece by piece,
// and then the last frame.
func bytesOf(response *http.Response) func() (Frame, error) {
	buffer := make([]byte, 64<<10)
	return func() (Frame, error) {
		n, err := response.Body.Read(buffer)
		switch {
		case n > 0:
			return Frame{Data: buffer[:n]}, nil // the next Read returns err again
		case err == nil:
			return Frame{}, nil
		case !errors.Is(err, io.EOF):
			return Frame{}, err
		}
		text, err := base64.StdEncoding.DecodeString(response.Trailer.Get(LastTrailer))
		if err != nil {
			return Frame{}, err
		}
		var last lastOfBytes
		if err := json.Unmarshal(text, &last); err != nil {
			return Frame{}, err
		}
		if last.Exit == nil {
			return Frame{}, errConnectionGone // this is not a last frame
		}
		last.Text = []byte(last.Words)
		return last.Frame, nil
	}
}

// call sends a request and decodes the reply. A refusal by the appliance is a *menu.Error.
func (c *Client) call(ctx context.Context, method, resource string, body, answer any) error {
	response, err := c.send(ctx, method, resource, body, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func (c *Client) send(ctx context.Context, method, resource string, body any, accept string) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://appliance/v1/"+resource, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	refusal := new(menu.Error)
	if err := json.NewDecoder(response.Body).Decode(refusal); err != nil {
		return nil, errConnectionGone
	}
	return nil, refusal
}

// join returns a path for a URL. Keywords hold letters, digits, `_` and `-`, so other characters
// can be replaced.
func join(path []string) string {
	var clean []string
	for _, word := range path {
		clean = append(clean, strings.Map(func(r rune) rune {
			if r == '/' || r == '?' || r == '#' || r == '%' || r <= ' ' || r > '~' {
				return '_'
			}
			return r
		}, word))
	}
	return strings.Join(clean, "/")
}
