package menu

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

type afterArgs struct {
	End *time.Time `arg:"endtime,after,unlimited" alias:"ends" min:"60"`
	At  time.Time  `arg:"at"`
}

// A time with the option after is also a duration from now, and what a record shows can be given
// back.
func TestTimesFromNow(t *testing.T) {
	p := params(reflect.TypeFor[afterArgs]())[0]
	parse := func(text string) (*time.Time, error) {
		var a afterArgs
		err := p.set(reflect.ValueOf(&a).Elem(), text)
		return a.End, err
	}
	for text, from := range map[string]time.Duration{"60": time.Minute, "12h": 12 * time.Hour, "7d": 7 * 24 * time.Hour} {
		before := time.Now().Truncate(time.Second)
		end, err := parse(text)
		if err != nil || end.Before(before.Add(from)) || end.After(time.Now().Add(from)) {
			t.Errorf("%s is %v, %v", text, end, err)
		}
	}
	moment := time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{moment.Format(time.RFC3339), "2099-01-02 03:04:05", "2099-01-02T05:04:05+02:00"} {
		if end, err := parse(text); err != nil || !end.Equal(moment) {
			t.Errorf("%s is %v, %v", text, end, err)
		}
	}
	if end, err := parse("Unlimited"); err != nil || end == nil || !end.IsZero() {
		t.Errorf("unlimited is %v, %v", end, err)
	}
	for text, want := range map[string]string{
		"59":    "of at least 1m",
		"59s":   "of at least 1m",
		"-1d":   "a duration from now",
		"never": "a duration from now",
		"":      "a duration from now",
	} {
		if end, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v", text, end, err)
		}
	}
	at := params(reflect.TypeFor[afterArgs]())[1]
	var a afterArgs
	if err := at.set(reflect.ValueOf(&a).Elem(), "7d"); err == nil || strings.Contains(err.Error(), "from now") {
		t.Errorf("a time without the option takes 7d: %v", err)
	}
}
