package menu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"diagsh/internal/test/hostile"
)

type outer struct {
	Text   string
	Bytes  []byte
	hidden string
}

// textSink keeps the text form.
type textSink struct {
	bytes.Buffer
}

func (s *textSink) Form() Form              { return TextForm }
func (s *textSink) Text(b []byte) error     { s.Write(b); return nil }
func (s *textSink) Record(any, Shape) error { return nil }
func (s *textSink) Data([]byte) error       { return nil }
func (s *textSink) Progress(text string)    { s.WriteString(text) }
func (s *textSink) View(bool)               {}

// TestTextFormsAreClean: whatever a command does with strangers' texts, in a record, a table, a
// hint, progress or a failure, its text form has no control character and no line that the command
// did not begin.
func TestTextFormsAreClean(t *testing.T) {
	type args struct{}
	run := func(ctx context.Context, _ Caller, _ args, out *Out[outer]) error {
		out.Printf("Hint: %s, %v, %s, %s, %q\n", hostile.Text, errors.New(hostile.Text), []string{hostile.Text},
			Text("x\x1b\ny"), hostile.Text)
		out.Progress("At %s\n", hostile.Text)
		out.View(func() error { return out.Record(outer{Text: hostile.Text, hidden: "\x1b[31mred"}) })
		return BadArgument("name", "%s is wrong\n  %s", hostile.Text, hostile.Text).WithHint("%s", hostile.Text)
	}
	row := func(w io.Writer, r outer) { fmt.Fprintf(w, "%s %s %d\n", r.Text, r.hidden, len(r.Bytes)) }
	for _, c := range []*Command{
		Decl[args, outer]{Name: "one", Role: ReadOnly, Run: run, Text: row}.Command(),
		Decl[args, outer]{Name: "all", Role: ReadOnly,
			Run: func(ctx context.Context, c Caller, a args, out *Out[outer]) error {
				run(ctx, c, a, out)
				return nil
			}, TextTable: func(w io.Writer, rows []outer) {
				for _, r := range rows {
					row(w, r)
				}
			}}.Command(),
	} {
		var sink textSink
		err := c.Run(t.Context(), Caller{}, nil, nil, &sink)
		said := sink.String()
		if err != nil {
			said += err.Error()
		}
		for _, line := range strings.Split(said, "\n") {
			if strings.HasPrefix(line, "FORGED") || Clean(line) != line {
				t.Errorf("%s: %q", c.Name, line)
			}
		}
		if want := "Hint: " + hostile.Harmless + ", " + hostile.Harmless + ", [" + hostile.Harmless +
			"], x\\x1b\ny, "; !strings.HasPrefix(said, want) {
			t.Errorf("%s begins with %q; want %q", c.Name, said, want)
		}
	}
}
