package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
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
	if without := e.WithoutCause(); without.Unwrap() != nil || without.Status() != 500 || without.Error() != e.Error() || e.Unwrap() == nil {
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

// TestErrorAsJSON: an error is a problem of RFC 9457 and comes back as it went, but for control
// characters; one of no known code is a failure.
func TestErrorAsJSON(t *testing.T) {
	wrong := &Error{Code: Usage, Argument: "count", Message: "\x1b[31m<x> is no number", Hint: "Type a number"}
	text, err := json.Marshal(wrong)
	want := `{"type":"/v1/problems/usage","title":"The request is not accepted","status":400,` +
		`"detail":"\\x1b[31m\u003cx\u003e is no number","kind":"usage","exit":2,"argument":"count","hint":"Type a number"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v, not %s", text, err, want)
	}
	for exit, want := range map[int]Code{0: Failed, -1: Failed, 7: Failed, 1: Failed, 3: Denied, 130: Interrupted} {
		var e Error
		err := json.Unmarshal(fmt.Appendf(nil, `{"exit":%d,"detail":"x","hint":"y"}`, exit), &e)
		if err != nil || !reflect.DeepEqual(e, Error{Code: want, Message: "x", Hint: "y"}) {
			t.Errorf("exit %d is %+v, %v", exit, e, err)
		}
	}
	several := Together([]*Error{BadArgument("count", "count is missing"), BadArgument("size", "size is missing")})
	text, err = json.Marshal(several)
	if !strings.HasSuffix(string(text), `"argument":"count","errors":[{"argument":"count","detail":"count is missing"},`+
		`{"argument":"size","detail":"size is missing"}]}`) || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	var back Error
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(&back, several) {
		t.Errorf("%+v, %v", back, err)
	}
}

// TestTypes: each code has the type of its name, no type has another's status, and 408 is none.
func TestTypes(t *testing.T) {
	for _, code := range []Code{Failed, Usage, Denied, NotFound, State, Unsupported, Interrupted} {
		if of := Types[Type(code.String())]; of.Code != code || of.Status == 0 || of.Title == "" {
			t.Errorf("%v is %+v", code, of)
		}
	}
	for name, of := range Types {
		e := name.Errorf("x")
		if e.Status() != of.Status || e.Code != of.Code || of.Status == http.StatusRequestTimeout {
			t.Errorf("%s is %+v, of status %d", name, e, e.Status())
		}
	}
	foreign := Error{Code: Denied, Type: TooLarge}
	if foreign.Status() != http.StatusForbidden {
		t.Errorf("a type of another code makes the status %d", foreign.Status())
	}
}

func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, TooMany(1500*time.Millisecond, "Too many requests"), "/v1/runs/X")
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Content-Type") != MediaType ||
		!strings.Contains(w.Body.String(), `"type":"/v1/problems/rate"`) ||
		!strings.Contains(w.Body.String(), `"instance":"/v1/runs/X"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestManyErrors: of a body with thousands of faults the answer stays short, and says how many there are.
func TestManyErrors(t *testing.T) {
	var faults []*Error
	for i := range 60000 {
		faults = append(faults, BadArgument(fmt.Sprint("x", i), "There is no such argument"))
	}
	w := httptest.NewRecorder()
	Write(w, AsError(Together(faults)), "")
	var answer struct {
		Errors []struct{ Argument string }
		More   int `json:"moreErrors"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Body.Len() > 16<<10 || len(answer.Errors) < 10 ||
		len(answer.Errors)+answer.More != 60000 || answer.Errors[1].Argument != "x1" {
		t.Errorf("%v, %d bytes, %d errors and %d more", err, w.Body.Len(), len(answer.Errors), answer.More)
	}
}

// TestEncodedBody: a compressed body is refused as such, with what is accepted (RFC 9110 section 15.5.16).
func TestEncodedBody(t *testing.T) {
	for encoding, accepted := range map[string]bool{"gzip": false, "identity, br": false, "Identity": true, "": true} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/run/ping", strings.NewReader("{}"))
		r.Header.Set("Content-Encoding", encoding)
		_, refused := ReadBody(w, r, MaxBody, BodyTime)
		if accepted != (refused == nil) {
			t.Errorf("%q: %v", encoding, refused)
		}
		if refused == nil {
			continue
		}
		if Write(w, refused, ""); w.Code != 415 || w.Header().Get("Accept-Encoding") != "identity" {
			t.Errorf("%q: %d %v", encoding, w.Code, w.Header())
		}
	}
}
