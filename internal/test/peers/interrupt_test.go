package peers_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/vt"
)

// TestCtrlC ends what runs until Ctrl-C, with the prompt as it was.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	terminal := b.Terminal("ro", 120, 40)
	defer terminal.Close()
	terminal.Prompted("mx1> ")
	for _, c := range []struct{ line, shown string }{
		{"netstat traffic ALL", "(Total)"},
		{"netstat traffic lo every 1 dropped no", "packets"},
		{"netstat sockets every 1 numeric yes state LISTEN", "LISTEN"},
		{"netstat sockets every 1 numeric yes count state", "LISTEN"},
	} {
		terminal.Type(c.line + "\r")
		terminal.Reads(c.shown)
		terminal.Type("\x03")
		terminal.Prompted("mx1> ")
		terminal.Type("whoami\r")
		terminal.Reads("Session:")
		terminal.Prompted("mx1> ")
		terminal.Type("\x0c")
	}
}

// TestChanges follows the list of sockets while one comes, changes and goes.
func TestChanges(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var l net.Listener
	b.ns.Do(t, func() { l = accepting(t, "tcp4", "127.0.0.1:0") })
	rows := b.changes("netstat sockets every 1 numeric yes state ESTABLISHED,LISTEN port " + port(l))
	first := <-rows
	if first.State != "LISTEN" || first.Change != "" || first.Time.IsZero() {
		t.Fatalf("the first row is %+v", first)
	}
	// The first list may still be read when its first row is there, and have the first connection as well.
	var client, server net.Conn
	for listed := true; listed; {
		b.ns.Do(t, func() { client, server = connect(t, l, "tcp4", l.Addr().String()) })
		// Both ends have to be there: a row may come while the rest of its list is still read, and an end that is read after
		// the next write is new with it, and not changed.
		for range 2 {
			b.await(rows, func(r changeRow) bool {
				listed = r.Change == ""
				return r.State == "ESTABLISHED" && (listed || r.Change == "new")
			})
		}
	}
	io.WriteString(client, "unread")
	b.await(rows, func(r changeRow) bool { return r.Change == "changed" && r.RecvQ == 6 })
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	server.Close()
	b.await(rows, func(r changeRow) bool { return r.Change == "gone" && r.State == "ESTABLISHED" })
}

type changeRow struct {
	Time          time.Time
	Change, State string
	RecvQ         int
}

// changes runs a line and hands on its records until the test ends.
func (b *bed) changes(line string) <-chan changeRow {
	b.t.Helper()
	session, out := b.Stream("ro", line+" --json")
	b.t.Cleanup(func() { session.Close() })
	rows := make(chan changeRow, 1000)
	go func() {
		defer close(rows)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var r changeRow
			if json.Unmarshal(lines.Bytes(), &r) != nil {
				r.Change = "broken: " + lines.Text()
			}
			rows <- r
		}
	}()
	return rows
}

// await returns when a row came that is one that is waited for.
func (b *bed) await(rows <-chan changeRow, ok func(changeRow) bool) {
	b.t.Helper()
	late := time.After(appliance.Patience)
	for {
		select {
		case r, open := <-rows:
			if !open || strings.HasPrefix(r.Change, "broken") {
				b.t.Fatalf("the stream ended: %+v", r)
			}
			if ok(r) {
				return
			}
		case <-late:
			b.t.Fatal("the row that is waited for did not come")
		}
	}
}

// TestEveryInPlace looks at a list that is shown again and again: on a terminal it stays where it
// is and fits the window, through a pipe one follows the other.
func TestEveryInPlace(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var l net.Listener
	b.ns.Do(t, func() {
		l = accepting(t, "tcp4", "127.0.0.1:0")
		for range 30 {
			connect(t, l, "tcp4", l.Addr().String())
		}
	})
	const heading = "Active Internet connections (including servers), "
	terminal := b.Terminal("ro", 120, 20)
	defer terminal.Close()
	terminal.Prompted("mx1> ")
	line := "netstat sockets every 1 numeric yes port " + port(l)
	terminal.Type(line + "\r")
	terminal.Reads("... 45 more") // of 61 sockets and two lines of heading; the last row of the window is the cursor's
	// Of a new connection both ends are new rows; a further round takes their marks away.
	b.ns.Do(t, func() { connect(t, l, "tcp4", l.Addr().String()) })
	terminal.Reads("... 47 more")
	terminal.Type("\x03")
	terminal.Prompted("mx1> ")
	terminal.Look(func(s *vt.Screen) {
		if text := s.All(); strings.Count(text, heading) != 1 || strings.Count(text, "... 47 more\nmx1>") != 1 {
			t.Errorf("the screen shows:\n%s", text)
		}
	})

	session, out := b.Stream("ro", line)
	defer session.Close()
	headings := 0
	for lines := bufio.NewScanner(out); headings < 2 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), heading) {
			headings++
		}
	}
	if headings < 2 {
		t.Errorf("%d lists came through the pipe", headings)
	}
}
