package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
)

// A plainRoom can do nothing beside closing, a fullRoom everything.
type plainRoom struct {
	name string
	said *[]string
}

func (r plainRoom) say(what string) { *r.said = append(*r.said, what+" "+r.name) }

func (r plainRoom) Close(context.Context) error {
	r.say("close")
	return errors.New(r.name)
}

type fullRoom struct{ plainRoom }

func (r fullRoom) Recover()        { r.say("recover") }
func (r fullRoom) Start()          { r.say("start") }
func (r fullRoom) Stop()           { r.say("stop") }
func (r fullRoom) Sweep(time.Time) { r.say("sweep") }
func (r fullRoom) Notice(caller menu.Caller) string {
	if r.name == "silent" {
		return ""
	}
	return r.name
}

// Rooms recover, start and stop from the ground up, and sweep and close in reverse. None starts
// before all have recovered. An error of one keeps none
// from closing.
func TestRoomsInOrder(t *testing.T) {
	var said []string
	d := &Daemon{}
	for _, r := range []room{
		fullRoom{plainRoom{"silent", &said}}, plainRoom{"plain", &said}, fullRoom{plainRoom{"second", &said}}, fullRoom{plainRoom{"third", &said}},
	} {
		d.opened(r)
	}
	d.startRooms()
	d.sweepRooms(time.Now())
	d.stopRooms()
	err := d.closeRooms(t.Context())
	want := "recover silent, recover second, recover third, start silent, start second, start third, sweep third, sweep second, sweep silent, stop silent, stop second, stop third, " +
		"close third, close second, close plain, close silent"
	if got := strings.Join(said, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if err == nil || err.Error() != "third\nsecond\nplain\nsilent" {
		t.Errorf("the errors are %v", err)
	}
	if got := d.notice(menu.Caller{}); got != "second" {
		t.Errorf("the notice is %q", got)
	}
}
