package network

import (
	"errors"
	"strings"
	"testing"
	"time"

	"diagsh/diag/smtp"
)

// A slow greeting and an odd farewell are remarked, and no trouble; everything else that is not as
// it should be is trouble and not remarked.
func TestRemarks(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		step    smtp.Step
		remark  string
		trouble bool
	}{
		{smtp.Step{Name: "greeting", Code: 220, Wanted: []int{220}, Time: 5 * time.Second}, "", false},
		{smtp.Step{Name: "greeting", Code: 220, Wanted: []int{220}, Time: 14 * time.Second}, "more than 5s", false},
		{smtp.Step{Name: "greeting", Failure: broken, Time: 14 * time.Second}, "", true},
		{smtp.Step{Name: "EHLO", Code: 250, Wanted: []int{250}, Time: 14 * time.Second}, "", false},
		{smtp.Step{Name: "EHLO", Code: 220, Wanted: []int{250}}, "", true},
		{smtp.Step{Name: "RCPT", Code: 252, Wanted: []int{250, 251}}, "", true},
		{smtp.Step{Name: "QUIT", Code: 221, Wanted: []int{221}}, "", false},
		{smtp.Step{Name: "QUIT", Code: 250, Wanted: []int{221}}, "QUIT with 250", false},
		{smtp.Step{Name: "QUIT", Code: 554, Wanted: []int{221}}, "QUIT with 554", false},
		{smtp.Step{Name: "QUIT", Failure: broken}, "did not answer QUIT", false},
		{smtp.Step{Name: "RSET", Failure: broken}, "did not answer RSET", false},
		{smtp.Step{Name: "connect"}, "", false},
	} {
		if got := remark(c.step); (got == "") != (c.remark == "") || !strings.Contains(got, c.remark) {
			t.Errorf("%+v: remark %q", c.step, got)
		}
		if got := troubleOf("mx", c.step, time.Second); (got != nil) != c.trouble {
			t.Errorf("%+v: trouble %v", c.step, got)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, times := range map[time.Duration][]time.Duration{5: {5}, 3: {1, 3, 100}, 4: {1, 3, 5, 100}} {
		if got := median(times); got != want {
			t.Errorf("%v: %d", times, got)
		}
	}
}
