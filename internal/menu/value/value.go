// Package value has the values of arguments that are more than a text or a number: sizes, durations,
// lists, moments.
package value

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. Its text form is a whole number with an optional unit B, KB, MB, GB,
// TB, where 1 KB = 1024 bytes as on AsyncOS. Without a unit the parameter's own applies (tag unit,
// bytes if there is none).
type Size int64

// Unlimited is the value of a parameter with the option unlimited for that word.
const Unlimited = -1

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

// ParseSize parses a Size. unit is the unit of a bare number ("MB"), empty for bytes.
func ParseSize(text, unit string) (Size, error) {
	s := strings.ToUpper(strings.TrimSpace(text))
	factor := int64(1)
	if digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); digits != s {
		unit = s[len(digits):]
		s = strings.TrimSpace(digits)
	}
	if unit != "" {
		found := false
		for _, u := range sizeUnits {
			if unit == u.name || unit == strings.TrimSuffix(u.name, "B") || unit == u.name[:1]+"IB" {
				factor, found = u.bytes, true
				break
			}
		}
		if !found {
			return 0, fmt.Errorf("a size is a number with B, KB, MB, GB or TB, such as 200MB")
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("a size is a number with B, KB, MB, GB or TB, such as 200MB")
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("that is more bytes than any disk holds")
	}
	return Size(n * factor), nil
}

// String returns the shortest exact form: 200MB, 1500B as 1500B.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// ParseDuration parses a duration: 60, 60s, 5m, 4h, 2d, or several together such as "5m 30s". A
// bare number is seconds. A number may have a fraction: 0.2 and .2 are 200ms.
func ParseDuration(text string) (time.Duration, error) {
	form := errors.New("a duration is such as 60s, 5m, 4h or \"5m 30s\"")
	s := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	if s == "" {
		return 0, form
	}
	var total float64
	for s != "" {
		n := len(s) - len(strings.TrimLeft(s, "0123456789."))
		whole, fraction, _ := strings.Cut(s[:n], ".")
		if whole+fraction == "" || len(whole) > 12 || len(fraction) > 12 {
			return 0, form
		}
		value, err := strconv.ParseFloat(s[:n], 64) // two points are invalid
		if err != nil {
			return 0, form
		}
		s = s[n:]
		m := len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz"))
		unit := time.Second
		switch s[:m] {
		case "", "s", "sec", "seconds":
		case "ms":
			unit = time.Millisecond
		case "m", "min", "minutes":
			unit = time.Minute
		case "h", "hours":
			unit = time.Hour
		case "d", "days":
			unit = 24 * time.Hour
		default:
			return 0, form
		}
		s = s[m:]
		total += value * float64(unit)
	}
	if total > math.MaxInt64/2 {
		return 0, fmt.Errorf("that is too long a time")
	}
	return time.Duration(math.Round(total)), nil
}

// FormatDuration is the inverse of ParseDuration for whole seconds: 1h30m, 90s as 1m30s, 60s as 1m.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		span time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.span; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.span
		}
	}
	return b.String()
}

// ParseBool parses a yes or no.
func ParseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "y", "yes", "on", "true", "1":
		return true, nil
	case "n", "no", "off", "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("the answer is yes or no")
}

// SplitList splits a comma list and removes the blanks around its members; empty members are
// dropped.
func SplitList(text string) []string {
	var list []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// UTC returns a moment as every text form shows it, to the second.
func UTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// ParseTime parses RFC 3339, or a date with or without a time of day in UTC.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04",
		"2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New(`a time is such as 2026-03-01, "2026-03-01 10:15" (UTC) or 2026-03-01T10:15:02+01:00`)
}
