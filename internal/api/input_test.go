package api

import (
	"context"
	"io"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

type echoArgs struct {
	Text string `arg:"text,positional:1,alone" help:"Help."`
}

// echoing repeats what is said to it, until that ends.
func echoing(d *fakeAppliance) *menu.Command {
	return menu.Decl[echoArgs, row]{
		Name: "echo", Help: "Help.", Role: menu.Operator, Shape: menu.Stream, Interactive: true,
		Run: func(ctx context.Context, _ menu.Caller, a echoArgs, out *menu.Out[row]) error {
			typing := out.Typing()
			out.Printf("person %v, lines %v\n", typing.Person, typing.Lines != nil)
			d.began <- "echo"
			if typing.Lines == nil {
				return nil
			}
			for {
				select {
				case said := <-typing.Lines:
					if said.Ends {
						return out.Printf("the end\n")
					}
					out.Printf("<%s>\n", said.Line)
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		},
		Text: func(io.Writer, row) {},
	}.Command()
}

// A command hears what its caller says while it runs, in order, and nobody else.
func TestInput(t *testing.T) {
	d := newFake(t)
	s, path := serve(t, d)
	mine, other := dial(t, path), dial(t, path)
	lines := make(chan menu.Input)
	var text strings.Builder
	done := make(chan *menu.Error, 1)
	go func() {
		typed := Conversation{Lines: lines, Person: true}
		failure, err := mine.Converse(t.Context(), t.Context(), []string{"echo"}, nil, menu.TextForm, typed, func(f Frame) error {
			text.Write(f.Text)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		done <- failure
	}()
	<-d.began
	s.mu.Lock()
	var id string
	for id = range s.runs {
	}
	s.mu.Unlock()
	for _, c := range []struct {
		client *Client
		said   menu.Input
		want   menu.Code
	}{
		{other, menu.Input{Line: "stranger"}, menu.NotFound},
		{mine, menu.Input{Line: "two\nlines"}, menu.Usage},
		{mine, menu.Input{Line: strings.Repeat("x", menu.MaxInputLine+1)}, menu.Usage},
	} {
		if err := c.client.call(t.Context(), "POST", "input/"+id, c.said, nil); !hasCode(err, c.want) {
			t.Errorf("%.20q: %v", c.said.Line, err)
		}
	}
	lines <- menu.Input{Line: "one"}
	lines <- menu.Input{Line: ""}
	lines <- menu.Input{Line: "\x1b[2J"}
	lines <- menu.Input{Ends: true}
	if failure := <-done; failure != nil ||
		text.String() != "person true, lines true\n<one>\n<>\n<\\x1b[2J>\nthe end\n" {
		t.Errorf("%v: %q", failure, text.String())
	}
	if err := mine.call(t.Context(), "POST", "input/"+id, menu.Input{Line: "late"}, nil); !hasCode(err, menu.NotFound) {
		t.Errorf("said to a command that has ended: %v", err)
	}
}

// Who may not run a command any more says nothing to it either.
func TestInputNeedsTheRole(t *testing.T) {
	d := newFake(t)
	s, path := serve(t, d)
	d.as("op")
	c := dial(t, path)
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		c.Converse(ctx, ctx, []string{"echo"}, nil, menu.TextForm, Conversation{Lines: make(chan menu.Input)}, unseen)
	}()
	<-d.began
	s.mu.Lock()
	var id string
	for id = range s.runs {
	}
	s.mu.Unlock()
	d.mu.Lock()
	d.roles["op"] = menu.ReadOnly
	d.mu.Unlock()
	if err := c.call(t.Context(), "POST", "input/"+id, menu.Input{Line: "x"}, nil); !hasCode(err, menu.Denied) {
		t.Errorf("after the role has changed: %v", err)
	}
	stop()
	<-done
}

// Without a conversation, or with an argument that stands for it, a command has none.
func TestNobodySpeaks(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	c := dial(t, path)
	for _, said := range []struct {
		args menu.Arguments
		v    Conversation
	}{{nil, Conversation{}}, {menu.Arguments{"text": "x"}, Conversation{Lines: make(chan menu.Input), Person: true}}} {
		var text string
		show := func(f Frame) error {
			text += string(f.Text)
			return nil
		}
		failure, err := c.Converse(t.Context(), t.Context(), []string{"echo"}, said.args, menu.TextForm, said.v, show)
		<-d.began
		if failure != nil || err != nil || text != "person false, lines false\n" {
			t.Errorf("%v, %v: %q", failure, err, text)
		}
	}
}
