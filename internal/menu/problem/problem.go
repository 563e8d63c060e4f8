// Package problem has the one form in which a failure reaches a user or a program: a code that is also
// the exit status, a sentence, a hint. In JSON it is a problem of RFC 9457.
package problem

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"diagsh/internal/menu/clean"
)

// A Code is the kind of a failure. Its number is the exit status of the one-line form.
type Code int

const (
	Failed      Code = 1   // it was tried and did not work
	Usage       Code = 2   // wrong words
	Denied      Code = 3   // not allowed for this role
	NotFound    Code = 4   // no such thing
	State       Code = 5   // not in this state
	Unsupported Code = 6   // not on this kernel or machine
	Interrupted Code = 130 // ended by Ctrl-C
)

func (c Code) String() string {
	switch c {
	case Usage:
		return "usage"
	case Denied:
		return "denied"
	case NotFound:
		return "notFound"
	case State:
		return "state"
	case Unsupported:
		return "unsupported"
	case Interrupted:
		return "interrupted"
	}
	return "failed"
}

// An Error is the only form in which a failure reaches a user: what was wrong, which argument, what
// to do. Its texts are shown as they are, so they must contain neither Go error texts nor paths of
// the server.
type Error struct {
	Code     Code
	Argument string // the parameter at fault, if any; a dialogue asks that question again
	Message  string // what is wrong: a sentence without its full stop
	Hint     string // what to do, or what is accepted: a sentence without its full stop; may be empty

	// Type names the problem more exactly than its code does, for HTTP. Empty: as the code.
	Type Type
	// Others are further faults of the same request, each of another argument.
	Others []*Error
	// RetryAfter says when the same request may be accepted, if that depends on time alone.
	RetryAfter time.Duration

	cause error // for the log of the appliance alone
}

// Unwrap returns the cause of a Failing error. It is for the appliance's log, never for a user.
func (e *Error) Unwrap() error { return e.cause }

// WithoutCause returns e without its cause, for a caller who has logged that.
func (e *Error) WithoutCause() *Error {
	without := *e
	without.cause = nil
	return &without
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return stopped(e.Message)
	}
	if strings.Contains(e.Message, "\n") {
		return e.Message + "\n" + stopped(e.Hint) // the message ends in a list, which has no full stop
	}
	return stopped(e.Message) + " " + stopped(e.Hint)
}

// stopped ends a sentence with a full stop.
func stopped(s string) string {
	if strings.HasSuffix(s, "?") || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// Errorf returns an Error of the given code that blames no argument.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: clean.Sprintf(format, args...)}
}

// Failing converts err to a form for users, and keeps it as the cause for the log. what says what
// was tried, as in "keep the settings". It returns an *Error unchanged. The end of a context
// becomes an interruption.
func Failing(what string, err error) error {
	var forUsers *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &forUsers):
		return forUsers
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Errorf(Interrupted, "It was interrupted")
	}
	failing := Errorf(Failed, "The appliance could not %s", what).WithHint("Its log says why")
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		failing = Errorf(Failed, "The appliance could not %s: its disk is full",
			what).WithHint("Delete files of the diagnostic directory first")
	}
	failing.Type, failing.cause = Fault, err
	return failing
}

// BadArgument returns the Usage error for one argument.
func BadArgument(argument, format string, args ...any) *Error {
	return &Error{Code: Usage, Argument: argument, Message: clean.Sprintf(format, args...)}
}

// WithHint adds what to do about it.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = clean.Sprintf(format, args...)
	return e
}

// Together returns one Error for all faults of a request: the first, with the others. It returns nil
// if there are none.
func Together(faults []*Error) error {
	if len(faults) == 0 {
		return nil
	}
	first := *faults[0]
	first.Others = append(first.Others[:len(first.Others):len(first.Others)], faults[1:]...)
	return &first
}

// NothingRun adds that the other commands of the line were not run either.
func (e *Error) NothingRun() *Error {
	with, hint := *e, ""
	if e.Hint != "" {
		hint = stopped(e.Hint)
	}
	with.Hint = strings.TrimSpace(hint + " Nothing was run")
	return &with
}

// AsError returns err as an *Error. Any other error is a fault of the appliance: its text stays on
// the server (the caller logs it) and the user gets a plain sentence.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Failed, Type: Fault, Message: "The appliance could not do this", Hint: "Its log says why"}
}

// Blame returns err as an Error that names the argument at fault. It returns nil for nil.
func Blame(argument string, err error) error {
	if err == nil {
		return nil
	}
	e := *AsError(err)
	e.Argument = argument
	return &e
}
