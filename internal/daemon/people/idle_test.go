package people

import (
	"testing"
	"testing/synctest"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

func TestIdleSessionsEnd(t *testing.T) {
	dir := roomtest.Configure(t, roomtest.DataDir(t), "idleTimeout: 10m")
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		l := roomtest.LogIn(t, d, "ops", "192.0.2.1")
		if l.Idle != 600 {
			t.Errorf("the idle time is %d s", l.Idle)
		}
		idle, idleEnded, _, _ := d.Attach(l.ID, "shell")
		busy, busyEnded, _, _ := d.Attach(l.ID, "shell")
		alive, aliveEnded, _, _ := d.Attach(l.ID, "shell")
		_, sftpEnded, _, _ := d.Attach(l.ID, "sftp")
		done := d.Running(busy.Session, "ping", false)
		time.Sleep(6 * time.Minute)
		d.Alive(alive.Session)
		time.Sleep(5 * time.Minute)
		if !isClosed(idleEnded) || isClosed(busyEnded) || isClosed(aliveEnded) || isClosed(sftpEnded) {
			t.Errorf("after 11 minutes: idle %v, busy %v, alive %v, sftp %v have ended", isClosed(idleEnded), isClosed(busyEnded), isClosed(aliveEnded), isClosed(sftpEnded))
		}
		_, err := d.Current(idle.Session)
		roomtest.WantCode(t, err, menu.Denied)
		done()
		time.Sleep(11 * time.Minute)
		if !isClosed(busyEnded) || !isClosed(aliveEnded) || isClosed(sftpEnded) {
			t.Error("after 22 minutes others have ended")
		}
	})
}

// A session of the page ends when its user does nothing, whatever the page does by itself, and in the
// end however busy it is.
func TestSessionsOfThePageEnd(t *testing.T) {
	dir := roomtest.Configure(t, roomtest.DataDir(t), "idleTimeout: 10m\nlongestWebSession: 1h")
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		person, page, program := roomtest.LogIn(t, d, "ops", "192.0.2.1"), roomtest.LogIn(t, d, "ops", "192.0.2.1"), roomtest.LogIn(t, d, "ops", "192.0.2.1")
		if person.LongestWeb != 3600 {
			t.Errorf("the longest time is %d s", person.LongestWeb)
		}
		used, usedEnded, _, _ := d.Attach(person.ID, "web")
		left, leftEnded, _, _ := d.Attach(page.ID, "web")
		_, programEnded, _, _ := d.Attach(program.ID, "api")
		following := d.Running(left.Session, "netstat traffic", true)
		defer following()
		for range 5 {
			time.Sleep(2 * time.Minute)
			d.Running(left.Session, "packetcapture status", true)()
			d.Running(used.Session, "ping", false)()
		}
		time.Sleep(time.Minute)
		if !isClosed(leftEnded) || isClosed(usedEnded) || isClosed(programEnded) {
			t.Errorf("after 11 minutes: the page %v, the person %v, the program %v have ended", isClosed(leftEnded), isClosed(usedEnded), isClosed(programEnded))
		}
		for range 24 {
			time.Sleep(2 * time.Minute)
			d.Alive(used.Session)
		}
		if isClosed(usedEnded) {
			t.Error("it ends early")
		}
		working := d.Running(used.Session, "ping", false)
		defer working()
		time.Sleep(2 * time.Minute)
		if !isClosed(usedEnded) || isClosed(programEnded) {
			t.Errorf("after an hour: the person %v, the program %v have ended", isClosed(usedEnded), isClosed(programEnded))
		}
		for _, l := range d.PastLogins(0) {
			if l.Ended != nil && l.Reason != "the longest time of a session is over" && l.Reason != "idle" {
				t.Errorf("a login ended because: %q", l.Reason)
			}
		}
	})
}
