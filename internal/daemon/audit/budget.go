package daemon

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// What one user may write into the audit log at once, and for how long: 4 MiB, and from then on 512 bytes a second, two lines. So nobody
// turns the whole log over (320 MiB) in less than a week, while a program that asks for something every second for hours is not noticed.
const (
	auditBurst = 4 << 20
	auditRate  = 512 // bytes a second
	// leftOutEvery is how often a line stands for those of a user that were left out.
	leftOutEvery = time.Minute
	// maxLeftOut is how many acts such a line tells apart.
	maxLeftOut = 50
)

// strangers is the budget of all who are refused before they are anybody: no user has this name.
const strangers = ""

// auditBudgets keep a user who is logged in from pushing other users' lines out of the audit log. They are per user and not per login,
// since a user can log in again. Lines over the budget are counted by act and path, and one line stands for them.
type auditBudgets struct {
	write func(access.Event)
	now   func() time.Time

	mu    sync.Mutex
	users map[string]*auditBudget
}

type auditBudget struct {
	bytes float64 // that may be written
	at    time.Time
	event access.Event   // who was left out last
	left  int            // lines left out since the last line that said so
	acts  map[string]int // the same, by what was done
	said  time.Time
}

func newAuditBudgets(write func(access.Event)) *auditBudgets {
	return &auditBudgets{write: write, now: time.Now, users: map[string]*auditBudget{}}
}

// record writes an event of a user who is logged in, or counts it.
func (a *auditBudgets) record(e access.Event) {
	bound(&e)
	act := e.Act + " " + e.Path
	switch kind := menu.Kind(e.Exit); {
	case kind == menu.Usage || kind == menu.NotFound: // whoever acts chose the path
		act = e.Act + ", " + e.Result
	case len(act) > maxLeftOutText:
		act = act[:maxLeftOutText]
	}
	a.spend(e.User, act, e)
}

// refuse writes an event of somebody who is not logged in, or counts it. They have one budget together, so that guesses from however many
// sources leave what users did in the log. account is the one that was wanted, empty if there is none of that name.
func (a *auditBudgets) refuse(account string, e access.Event) {
	if account == "" {
		account = "names that no account has"
	}
	bound(&e)
	a.spend(strangers, e.Act+", "+account, e)
}

// spend writes an event, or counts it by what was done if the budget is used up.
func (a *auditBudgets) spend(budget, act string, e access.Event) {
	line, _ := json.Marshal(e)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	b := a.users[budget]
	if b == nil {
		b = &auditBudget{bytes: auditBurst, at: now, acts: map[string]int{}}
		a.users[budget] = b
	}
	b.refill(now)
	if cost := float64(len(line)); b.bytes >= cost {
		b.bytes -= cost
		a.write(e)
		return
	}
	b.event = e
	b.left++
	if budget == strangers {
		b.event = access.Event{User: "those who are not logged in", Source: e.Source}
	}
	if _, known := b.acts[act]; !known && len(b.acts) >= maxLeftOut {
		act = "others"
	}
	b.acts[act]++
	a.say(b, now, leftOutEvery)
}

const maxLeftOutText = 100

func (b *auditBudget) refill(now time.Time) {
	b.bytes = min(auditBurst, b.bytes+auditRate*now.Sub(b.at).Seconds())
	b.at = now
}

// say writes the line that stands for what was left out, if there is any and the last one is so long ago. Called with mu held.
func (a *auditBudgets) say(b *auditBudget, now time.Time, every time.Duration) {
	if b.left == 0 || now.Sub(b.said) < every {
		return
	}
	acts := make(map[string]string, len(b.acts))
	for act, n := range b.acts {
		acts[act] = fmt.Sprint(n)
	}
	a.write(access.Event{Act: access.ActSystem, User: b.event.User, Role: b.event.Role, Source: b.event.Source, Session: b.event.Session,
		Arguments: acts, Result: "left out", Message: fmt.Sprintf("%d further lines of %s were left out: they came faster than %d bytes a second",
			b.left, b.event.User, auditRate)})
	b.left, b.said = 0, now
	clear(b.acts)
}

// tell writes the lines that are due, and forgets users who have all of their budget.
func (a *auditBudgets) tell(every time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for name, b := range a.users {
		a.say(b, now, every)
		if b.refill(now); b.bytes >= auditBurst && b.left == 0 {
			delete(a.users, name)
		}
	}
}
