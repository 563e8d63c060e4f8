package menu

import (
	"time"

	"diagsh/internal/menu/clean"
	"diagsh/internal/menu/problem"
	"diagsh/internal/menu/value"
	"diagsh/internal/menu/words"
)

// What declarations use of the packages below this one stands here under the names of this package.

// Failures, see package problem.
type (
	Code  = problem.Code
	Error = problem.Error
)

// The codes of failures.
const (
	Failed      = problem.Failed
	Usage       = problem.Usage
	Denied      = problem.Denied
	NotFound    = problem.NotFound
	State       = problem.State
	Unsupported = problem.Unsupported
	Interrupted = problem.Interrupted
)

// Errorf is problem.Errorf.
func Errorf(code Code, format string, args ...any) *Error {
	return problem.Errorf(code, format, args...)
}

// BadArgument is problem.BadArgument.
func BadArgument(argument, format string, args ...any) *Error {
	return problem.BadArgument(argument, format, args...)
}

// Failing is problem.Failing.
func Failing(what string, err error) error { return problem.Failing(what, err) }

// AsError is problem.AsError.
func AsError(err error) *Error { return problem.AsError(err) }

// Blame is problem.Blame.
func Blame(argument string, err error) error { return problem.Blame(argument, err) }

// Text is clean.Text.
type Text = clean.Text

// Clean is clean.Line.
func Clean(s string) string { return clean.Line(s) }

// CleanLines is clean.Lines.
func CleanLines(text string) string { return clean.Lines(text) }

// Cleaned is clean.Value.
func Cleaned[T any](v T) T { return clean.Value(v) }

// Quoted is clean.Quoted.
func Quoted(text string) string { return clean.Quoted(text) }

// Bounded is clean.Bounded.
func Bounded(text string, most int) string { return clean.Bounded(text, most) }

// Word is words.Word.
type Word = words.Word

const maxLine = words.MaxLine

// Split is words.Split.
func Split(line string) ([][]Word, error) { return words.Split(line) }

// Quote is words.Quote.
func Quote(word string) string { return words.Quote(word) }

// Nearest is words.Nearest.
func Nearest(word string, names []string) string { return words.Nearest(word, names) }

// Size is value.Size.
type Size = value.Size

// Unlimited is the value of a parameter with the option unlimited for that word.
const Unlimited = value.Unlimited

// Secret is a text that is never echoed, never kept in a history and masked in the audit log.
type Secret string

// SecretText is a Secret of several lines, such as a private key.
type SecretText string

// Confirm is the confirmation that a command needs before it removes something. A dialogue asks for
// it; the one-line form and the API must say `confirm yes`.
type Confirm bool

// Packets names something with packet contents that the command will read: a capture, or a file of
// the diagnostic directory. Package api only lets callers run it who may read such a file, or with
// the option headers the headers of its packets.
type Packets string

// ParseSize is value.ParseSize.
func ParseSize(text, unit string) (Size, error) { return value.ParseSize(text, unit) }

// ParseDuration is value.ParseDuration.
func ParseDuration(text string) (time.Duration, error) { return value.ParseDuration(text) }

// FormatDuration is value.FormatDuration.
func FormatDuration(d time.Duration) string { return value.FormatDuration(d) }

// SplitList is value.SplitList.
func SplitList(text string) []string { return value.SplitList(text) }

// UTC is value.UTC.
func UTC(t time.Time) string { return value.UTC(t) }
