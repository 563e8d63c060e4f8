package audit

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A user may write 4 MiB at once and 512 bytes a second from then on, which is two lines. So no
// user turns the whole log over (320 MiB) in less than a week. A program that asks for something
// every second for hours stays below it.
const (
	burst = 4 << 20
	rate  = 512 // bytes a second
	// leftOutEvery is how often a line stands for those of a user that were left out.
	leftOutEvery = time.Minute
	// maxLeftOut is how many acts such a line tells apart.
	maxLeftOut = 50
)

// strangers is the budget of all clients that are not logged in: no user has this name.
const strangers = ""

// budgets keep a user from pushing other users' lines out of the log. They are per user and not per
// login, since a user can log in again. Lines over the budget are counted by act and path, and one
// line reports their number.
type budgets struct {
	write func(access.Event)
	now   func() time.Time

	mu    sync.Mutex
	users map[string]*budget
}

type budget struct {
	bytes float64 // that may be written
	at    time.Time
	event access.Event   // who was left out last
	left  int            // lines left out since the last line that said so
	acts  map[string]int // the same, by what was done
	said  time.Time
}

func newBudgets(write func(access.Event)) *budgets {
	return &budgets{write: write, now: time.Now, users: map[string]*budget{}}
}

// record writes an event of a user who is logged in, or counts it.
func (a *budgets) record(e access.Event) {
	bound(&e)
	act := e.Act + " " + e.Path
	switch kind := menu.Code(e.Exit); {
	case kind == menu.Usage || kind == menu.NotFound: // the user chose the path
		act = e.Act + ", " + e.Result
	case len(act) > maxLeftOutText:
		act = act[:maxLeftOutText]
	}
	a.spend(e.User, act, e)
}

// refuse writes an event of a client that is not logged in, or counts it. They share one budget, so
// that guesses from however many sources leave what users did in the log. account is the one that
// was wanted, empty if there is none of that name.
func (a *budgets) refuse(account string, e access.Event) {
	if account == "" {
		account = "names that no account has"
	}
	bound(&e)
	a.spend(strangers, e.Act+", "+account, e)
}

// spend writes an event, or counts it by what was done if the budget is used up.
func (a *budgets) spend(user, act string, e access.Event) {
	line, _ := json.Marshal(e)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	b := a.users[user]
	if b == nil {
		b = &budget{bytes: burst, at: now, acts: map[string]int{}}
		a.users[user] = b
	}
	b.refill(now)
	if cost := float64(len(line)); b.bytes >= cost {
		b.bytes -= cost
		a.write(e)
		return
	}
	b.event = e
	b.left++
	if user == strangers {
		b.event = access.Event{User: "those who are not logged in", Source: e.Source}
	}
	if _, known := b.acts[act]; !known && len(b.acts) >= maxLeftOut {
		act = "others"
	}
	b.acts[act]++
	a.say(b, now, leftOutEvery)
}

const maxLeftOutText = 100

func (b *budget) refill(now time.Time) {
	b.bytes = min(burst, b.bytes+rate*now.Sub(b.at).Seconds())
	b.at = now
}

// say writes the line that reports what was left out, if every has passed since the last such line.
// Called with mu held.
func (a *budgets) say(b *budget, now time.Time, every time.Duration) {
	if b.left == 0 || now.Sub(b.said) < every {
		return
	}
	acts := make(map[string]string, len(b.acts))
	for act, n := range b.acts {
		acts[act] = fmt.Sprint(n)
	}
	a.write(access.Event{Act: access.ActSystem, User: b.event.User, Role: b.event.Role, Source: b.event.Source,
		Session:   b.event.Session,
		Arguments: acts, Result: "left out",
		Message: fmt.Sprintf("%d further lines of %s were left out: they came faster than %d bytes a second",
			b.left, b.event.User, rate)})
	b.left, b.said = 0, now
	clear(b.acts)
}

// tell writes the lines that are due, and forgets users whose budget is full.
func (a *budgets) tell(every time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for name, b := range a.users {
		a.say(b, now, every)
		if b.refill(now); b.bytes >= burst && b.left == 0 {
			delete(a.users, name)
		}
	}
}
