package feed

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"diagsh/internal/access"
)

// A bed is a Feed with one topic whose records count how often they were read.
type bed struct {
	*Feed
	t     *testing.T
	tell  access.Teller
	reads atomic.Int64
	gone  atomic.Bool // nothing is there any more
}

func newBed(t *testing.T, topics ...Topic) *bed {
	b := &bed{Feed: New(slog.New(slog.DiscardHandler)), t: t}
	b.tell = b.Teller("things")
	b.Add(Topic{Name: "things", Read: func(name string) (any, bool) {
		b.reads.Add(1)
		return name, !b.gone.Load()
	}})
	for _, topic := range topics {
		b.Add(topic)
	}
	return b
}

func (b *bed) close() {
	if err := b.Close(context.Background()); err != nil {
		b.t.Error(err)
	}
}

// take returns what a listener got, as "topic user data".
func take(l access.Listener) (lines []string, missed bool) {
	updates, missed := l.Take()
	for _, u := range updates {
		lines = append(lines, u.Topic+" "+u.User+" "+string(u.Data))
	}
	return lines, missed
}

func (b *bed) wants(l access.Listener, missed bool, lines ...string) {
	b.t.Helper()
	got, lost := take(l)
	if !slices.Equal(got, lines) || lost != missed {
		b.t.Errorf("a listener got %q, missed %v; not %q, %v", got, lost, lines, missed)
	}
}

func TestChangesOfAMomentAreReadOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		b.tell.Changed("before")
		one, other := b.Listen(""), b.Listen("")
		for range 10 {
			b.tell.Changed("b", "a")
			time.Sleep(gather / 20)
		}
		time.Sleep(gather)
		synctest.Wait()
		if n := b.reads.Load(); n != 2 {
			t.Errorf("2 things that changed 10 times within a moment were read %d times", n)
		}
		for _, l := range []access.Listener{one, other} {
			b.wants(l, false, `things  {"changed":["a","b"]}`)
		}
		b.gone.Store(true)
		b.tell.Changed("a")
		time.Sleep(gather)
		synctest.Wait()
		b.wants(one, false, `things  {"removed":["a"]}`)
	})
}

func TestNothingIsReadWhileNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var polls atomic.Int64
		b := newBed(t, Topic{Name: "running", Read: func(string) (any, bool) { return polls.Load(), true },
			Running: func() []string { polls.Add(1); return []string{"a"} }})
		defer b.close()
		l := b.Listen("")
		time.Sleep(3*pollEvery + pollEvery/2)
		l.Close()
		time.Sleep(linger + pollEvery)
		synctest.Wait()
		b.reads.Store(0)
		polls.Store(0)
		b.tell.Changed("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.reads.Load() != 0 || polls.Load() != 0 {
			t.Errorf("nobody listens, and %d changes and %d counters were read", b.reads.Load(), polls.Load())
		}
	})
}

func TestCountersAreToldWhenTheyDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		b := newBed(t, Topic{Name: "running", Read: func(string) (any, bool) { return count.Load(), true },
			Running: func() []string { return []string{"a"} }})
		defer b.close()
		l := b.Listen("")
		count.Store(1)
		for range 3 {
			time.Sleep(pollEvery + pollEvery/10)
		}
		b.wants(l, false, `running  {"changed":[1]}`)
		count.Store(2)
		time.Sleep(pollEvery)
		b.wants(l, false, `running  {"changed":[2]}`)
	})
}

func TestAListenerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		l := b.Listen("")
		change := func(name string) {
			b.tell.Changed(name)
			time.Sleep(2 * gather)
			synctest.Wait()
		}
		change("a")
		updates, _ := l.Take()
		l.Close()
		change("b")
		change("c")
		again := b.Listen(updates[0].ID)
		b.wants(again, false, `things  {"changed":["b"]}`, `things  {"changed":["c"]}`)
		for _, id := range []string{"other-1", b.boot + "-99", b.boot + "-x", "", "?"} {
			b.wants(b.Listen(id), id != "")
		}
		for n := range maxKept {
			change(strconv.Itoa(n))
		}
		b.wants(b.Listen(updates[0].ID), true)
		again.Close()
	})
}

func TestAListenerThatComesBackTooLateMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		l := b.Listen("")
		b.tell.Changed("a")
		time.Sleep(2 * gather)
		updates, _ := l.Take()
		l.Close()
		time.Sleep(2 * linger)
		b.tell.Changed("b") // which nobody hears
		b.wants(b.Listen(updates[0].ID), true)
	})
}

func TestASlowListenerLosesAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		slow, quick := b.Listen(""), b.Listen("")
		for n := range maxQueue + 2 {
			b.tell.Changed(strconv.Itoa(n))
			time.Sleep(2 * gather)
			if _, missed := take(quick); missed {
				t.Fatal("a listener that takes all of them missed some")
			}
		}
		got, missed := take(slow)
		if !missed || len(got) == 0 || len(got) > maxQueue || !strings.Contains(got[len(got)-1], strconv.Itoa(maxQueue+1)) {
			t.Errorf("a slow listener missed %v, and got %d, the last %q", missed, len(got), got[len(got)-1:])
		}
	})
}

func TestManyThingsAreNotNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		l := b.Listen("")
		for n := range maxNames + 1 {
			b.tell.Changed(strconv.Itoa(n))
		}
		time.Sleep(2 * gather)
		synctest.Wait()
		b.wants(l, false, `things  {"many":true}`)
		if b.reads.Load() != 0 {
			t.Error("things were read that nobody is told of")
		}
	})
}

func TestWhatIsPrivateNamesItsUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Topic{Name: "own", Private: true, Read: func(user string) (any, bool) { return "of " + user, true }})
		defer b.close()
		l := b.Listen("")
		b.Teller("own").Changed("op", "admin")
		time.Sleep(2 * gather)
		b.wants(l, false, `own admin {"changed":["of admin"]}`, `own op {"changed":["of op"]}`)
		for n := range maxNames + 1 {
			b.Teller("own").Changed(strconv.Itoa(n))
		}
		time.Sleep(2 * gather)
		if lines, missed := take(l); len(lines) != maxNames+1 || missed {
			t.Errorf("of %d users %d are told, missed %v", maxNames+1, len(lines), missed)
		}
	})
}

func TestNobodyIsToldAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		l := b.Listen("")
		b.close()
		b.tell.Changed("a")
		b.Listen("")
		time.Sleep(2 * gather)
		synctest.Wait()
		b.wants(l, false)
	})
}
