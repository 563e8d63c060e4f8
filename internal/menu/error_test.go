package menu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// TestFailing: a Failing error tells a user nothing of its cause, and its log all of it.
func TestFailing(t *testing.T) {
	cause := &fs.PathError{Op: "open", Path: "/var/lib/secret", Err: syscall.EACCES}
	err := Failing("keep the settings", cause)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != Failed || e.Message != "The appliance could not keep the settings" ||
		e.Hint != "Its log says why" {
		t.Fatalf("%#v", err)
	}
	if !errors.Is(err, syscall.EACCES) {
		t.Error("the cause is lost")
	}
	text, jsonErr := json.Marshal(e)
	if jsonErr != nil || strings.Contains(string(text)+e.Error()+fmt.Sprint(e), "secret") {
		t.Errorf("%s %v %v tell a user the cause", text, e, jsonErr)
	}
	if without := e.WithoutCause(); without.Unwrap() != nil || without.Error() != e.Error() || e.Unwrap() == nil {
		t.Errorf("without its cause it is %v, of %v; and then %v, of %v", without, without.Unwrap(), e, e.Unwrap())
	}
	full := Failing("keep the settings", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	if got, want := full.Error(),
		"The appliance could not keep the settings: its disk is full. Delete files of the diagnostic directory first."; got != want {
		t.Errorf("on a full disk: %s", got)
	}
	if err := Failing("read", fmt.Errorf("read: %w", context.Canceled)); AsError(err).Code != Interrupted {
		t.Errorf("an end of the context is %v", err)
	}
	if known := Errorf(NotFound, "There is none"); Failing("read", fmt.Errorf("read: %w", known)) != error(known) {
		t.Error("an error for users does not stay as it is")
	}
	if err := Failing("read", nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

func TestQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 `""`,
		"eth0":                             `"eth0"`,
		"a\x1b[2Jb\u202e":                  `"a\x1b[2Jb\u202e"`,
		strings.Repeat("x", 61):            `"` + strings.Repeat("x", 60) + `..."`,
		strings.Repeat("x", 59) + "üüüüüü": `"` + strings.Repeat("x", 59) + `..."`,
	} {
		if got := Quoted(text); got != want {
			t.Errorf("%q is quoted as %s, not %s", text, got, want)
		}
	}
}

func FuzzBounded(f *testing.F) {
	f.Add("grün", 3)
	f.Add("\x80\x80\x80\x80\x80\x80\x80\x80", 6)
	f.Fuzz(func(t *testing.T, text string, most int) {
		if most < 0 {
			return
		}
		got := Bounded(text, most)
		if len(text) <= most {
			if got != text {
				t.Fatalf("%q becomes %q", text, got)
			}
			return
		}
		begin, ok := strings.CutSuffix(got, "...")
		if !ok || len(begin) > most || !strings.HasPrefix(text, begin) || len(begin) < most-utf8.UTFMax {
			t.Fatalf("%q, at most %d: %q", text, most, got)
		}
		if utf8.ValidString(text) && !utf8.ValidString(begin) {
			t.Fatalf("%q cuts a character of %q", got, text)
		}
	})
}

// TestErrorAsJSON: an error comes back as it went, but for control characters; one of no known code
// is a failure.
func TestErrorAsJSON(t *testing.T) {
	text, err := json.Marshal(&Error{Code: Usage, Argument: "count", Message: "\x1b[31m<x> is no number", Hint: "Type a number"})
	want := `{"kind":"usage","exit":2,"argument":"count","message":"\\x1b[31m\u003cx\u003e is no number","hint":"Type a number"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v, not %s", text, err, want)
	}
	for exit, want := range map[int]Code{0: Failed, -1: Failed, 7: Failed, 1: Failed, 3: Denied, 130: Interrupted} {
		var e Error
		err := json.Unmarshal(fmt.Appendf(nil, `{"exit":%d,"message":"x","hint":"y"}`, exit), &e)
		if err != nil || e != (Error{Code: want, Message: "x", Hint: "y"}) {
			t.Errorf("exit %d is %+v, %v", exit, e, err)
		}
	}
}
