package commands

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/tcp"
	"diagsh/internal/menu"
)

// The times of a talk.
const (
	// talkPause is the silence after which a text without a line end is shown, and a talk without
	// further lines is over.
	talkPause = 500 * time.Millisecond
	// talkSettle is how long the peer must be silent before a program's next line is sent: its
	// answer may have several lines.
	talkSettle = 100 * time.Millisecond
	// talkAnswer is how long a program's next line waits for an answer to the one before. Not every
	// line has an answer.
	talkAnswer = time.Second
	// talkUnused is how long a program may take to give its first line. A program that started
	// telnet may have no lines and yet leave the standard input open.
	talkUnused = 3 * time.Second
)

// The limits of what is kept and shown, in bytes.
const (
	talkBanner  = 4 << 10
	talkKept    = 64 << 10
	talkPartial = 4 << 10 // of a line without its end
	talkMost    = 1 << 20 // of all that the peer sends, if no person can end the talk
)

// A talk is the exchange on one connection. Its lines come from a person, who sees the answers and
// ends the talk. Or they come from a program (a pipe, or the argument say), and are sent one after
// the other. Or there are none.
type talk struct {
	conn   *tcp.Conn
	args   telnetArgs
	out    *menu.Out[telnetTry]
	try    *telnetTry
	typing menu.Typing
	queue  []string // lines to be said

	began, lastHeard, lastSaid time.Time
	heard, answered            bool // at all; since the last line was said
	message                    bool // a mail server waits for a message, whose lines get no answer
	more                       bool // there may be more lines to say
	patient                    bool // a person was told that nothing has come yet
	partial                    []byte
	midLine                    bool
	amount                     int
}

func newTalk(conn *tcp.Conn, a telnetArgs, out *menu.Out[telnetTry], try *telnetTry) *talk {
	t := &talk{conn: conn, args: a, out: out, try: try, began: time.Now()}
	if a.Say != "" {
		t.queue = sayLines(a.Say)
		return t
	}
	t.typing = out.Typing()
	t.more = t.typing.Lines != nil
	return t
}

// run talks until the talk is over and notes the result in t.try. It returns an error if the output
// cannot be written.
func (t *talk) run(ctx context.Context) error {
	if t.typing.Person {
		t.out.Printf("Escape character is '^]'.\n")
	} else {
		t.out.Progress("Waiting up to %s for %s to speak...", menu.FormatDuration(t.args.Wait), menu.Clean(t.args.Host))
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if t.maySay() {
			if over := t.say(ctx); over {
				break
			}
			continue
		}
		over, at := t.next()
		if over {
			break
		}
		timer.Reset(time.Until(at))
		var lines <-chan menu.Input
		if t.more && len(t.queue) == 0 {
			lines = t.typing.Lines
		}
		select {
		case s := <-t.conn.Said():
			t.hear(s.Text)
			if s.Err != nil {
				t.end(s.Err)
				return t.finish()
			}
		case in := <-lines:
			if in.Ends {
				t.more = false
				if t.typing.Person {
					t.conn.End()
				}
				break
			}
			t.queue = append(t.queue, in.Line)
		case <-timer.C:
			if time.Since(t.lastHeard) >= talkPause {
				t.showPartial()
			}
		case <-ctx.Done():
			t.patient = true // a user who leaves then knows that nothing has come
			return t.finish()
		}
	}
	return t.finish()
}

// maySay reports whether the next line may be sent now.
func (t *talk) maySay() bool {
	switch {
	case len(t.queue) == 0:
		return false
	case t.typing.Person, t.message:
		return true
	case !t.lastSaid.IsZero() && time.Since(t.lastSaid) >= talkAnswer:
		return true
	case t.lastSaid.IsZero() && !t.heard:
		return time.Since(t.began) >= t.args.Wait
	}
	return t.answered && time.Since(t.lastHeard) >= talkSettle
}

// say sends the next line. It reports whether the talk is over.
func (t *talk) say(ctx context.Context) (over bool) {
	line := t.queue[0]
	t.queue = t.queue[1:]
	if !t.typing.Person {
		t.showPartial()
		t.newLine()
		t.out.Printf("-> %s\n", menu.Clean(line))
	}
	if err := t.conn.Say(ctx, line, t.args.Wait); err != nil {
		if ctx.Err() == nil {
			t.end(err)
		}
		return true
	}
	t.try.Sent++
	t.lastSaid, t.answered = time.Now(), false
	if line == "." {
		t.message = false
	}
	return false
}

// next reports whether the talk is over, or else at what time to look again if nothing happens.
func (t *talk) next() (over bool, at time.Time) {
	latest := t.began
	for _, moment := range []time.Time{t.lastHeard, t.lastSaid} {
		if moment.After(latest) {
			latest = moment
		}
	}
	end := latest.Add(t.args.Wait)
	switch {
	case t.typing.Person:
		end = time.Now().Add(time.Hour)
		if !t.heard && !t.patient {
			if end = t.began.Add(t.args.Wait); !time.Now().Before(end) {
				t.patient = true
				t.out.Printf("Nothing within %s; it may still come.\n", menu.FormatDuration(t.args.Wait))
				return t.next()
			}
		}
	case t.amount >= talkMost:
		t.newLine()
		t.out.Printf("It does not come to an end: so much is enough.\n")
		return true, end
	case len(t.queue) > 0:
		end = time.Now().Add(talkSettle)
	case t.more && t.lastSaid.IsZero() && t.heard:
		end = t.lastHeard.Add(talkUnused)
	case t.more:
	case t.lastSaid.IsZero() && t.heard: // nothing will be said, so the banner is all
		end = t.lastHeard.Add(talkPause)
		if latest := t.began.Add(t.args.Wait); end.After(latest) && t.lastHeard.Before(latest) {
			end = latest
		}
		if t.amount >= talkBanner {
			return true, end
		}
	case t.answered:
		end = t.lastHeard.Add(talkPause)
	}
	now := time.Now()
	if !now.Before(end) {
		return true, end
	}
	if flush := t.lastHeard.Add(talkPause); len(t.partial) > 0 && flush.Before(end) {
		end = flush
	}
	return false, end
}

// hear shows what the peer sends, and keeps its beginning for the result.
func (t *talk) hear(text []byte) {
	if len(text) == 0 {
		return
	}
	t.lastHeard = time.Now()
	if !t.heard {
		took := t.lastHeard.Sub(t.began)
		t.try.BannerSeconds = probes.Seconds(took)
		t.out.Printf("It spoke after %s ms:\n", probes.Milliseconds(took))
	}
	t.heard, t.answered = true, true
	t.amount += len(text)
	kept, limit := &t.try.Banner, talkBanner
	if t.try.Sent > 0 {
		kept, limit = &t.try.Answer, talkKept
	}
	room := min(len(text), limit-len(*kept))
	*kept += string(text[:room])
	t.try.Truncated = t.try.Truncated || room < len(text)
	t.partial = append(t.partial, text...)
	for {
		end := bytes.IndexByte(t.partial, '\n')
		if end < 0 {
			break
		}
		line := t.partial[:end]
		t.message = t.message || bytes.HasPrefix(line, []byte("354"))
		t.out.Printf("%s\n", menu.Clean(string(bytes.TrimSuffix(line, []byte("\r")))))
		t.midLine = false
		t.partial = t.partial[end+1:]
	}
	if len(t.partial) >= talkPartial {
		t.showPartial()
	}
}

// showPartial shows the text after the last line end, such as a prompt.
func (t *talk) showPartial() {
	if len(t.partial) > 0 {
		t.out.Printf("%s", menu.Clean(string(bytes.TrimSuffix(t.partial, []byte("\r")))))
		t.partial, t.midLine = nil, true
	}
}

func (t *talk) newLine() {
	if t.midLine {
		t.out.Printf("\n")
		t.midLine = false
	}
}

// end notes why the connection ended.
func (t *talk) end(err error) {
	if errors.Is(err, io.EOF) {
		t.try.Closed = true
		return
	}
	reason, ok := probes.Reason(err)
	if !ok {
		reason = "the connection failed"
	}
	t.try.Error = reason
}

// finish shows what is not shown yet.
func (t *talk) finish() error {
	t.showPartial()
	t.newLine()
	t.out.Progress("")
	over := t.try.Closed || t.try.Error != "" || t.patient
	switch wait := menu.FormatDuration(t.args.Wait); {
	case over:
	case !t.heard:
		return t.out.Printf("Nothing within %s (wait SECONDS waits longer).\n", wait)
	case t.more && t.lastSaid.IsZero():
		return t.out.Printf("No line to send came within %s: pipe lines in, use say, or a terminal (ssh -t).\n",
			menu.FormatDuration(talkUnused))
	case !t.answered:
		return t.out.Printf("No answer within %s (wait SECONDS waits longer).\n", wait)
	}
	return nil
}
