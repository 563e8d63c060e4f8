// Package people knows who may come in, and who is in: accounts with passwords and keys, logins and
// sessions, logins of the past, and the lines that users typed.
//
// # How guessing a password is made slow
//
// Guessing must not pay, and an attacker must not lock a user out by guessing. So failures count
// against the source that fails, not against the account:
//
//   - A source is an IPv4 address, or an IPv6 /64, which is what one customer of a network gets.
//     The passwords that one source sends are checked one after the other, and after each failure
//     the next answer takes longer: 0, 0, 1, 2, 4 ... 30 s. The delay holds no hashing slot, so
//     that a flood from one source takes nothing from another.
//   - A source that fails ten times with one user name is refused for that name for five minutes
//     without a look at the password, then for ten, up to an hour. The lock binds the pair of
//     source and name. A flood can therefore not shut out the account's owner, who comes from
//     elsewhere (compare OWASP, "Slow Down Online Guessing Attacks with Device Cookies": a source
//     that the user has logged in from before stands where the cookie stands).
//   - A botnet has many sources. From twenty failures for one name on, over all sources, the
//     account takes one password per second from sources that its user never logged in from; then
//     one in two, four, eight seconds. Sources that the user has logged in from lately do not wait
//     in that line.
//   - A /48 of IPv6 has 65536 sources. So failures are counted for the /48 and the /56 too, and
//     from twenty on these have such a line as well. Turns at the hashing are given by network, /48
//     before /56 before source, and where all places are taken the network with most of them makes
//     room. A source that the user has logged in from lately has a hashing slot and places that
//     strangers have no part in.
//   - Public keys cannot be guessed: they are never delayed, never locked and count as no failure.
//     The way in for an administrator whose password is under attack is a key, or root on the
//     machine itself.
//   - Names that do not exist are treated the same in all of this, hash included, so that a client
//     cannot learn which names exist.
//
// All of it is forgotten when the appliance restarts; it is kept in bounded memory, the least
// recently seen source first to go.
package people

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/people/loginlog"
	"diagsh/internal/daemon/people/passes"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/daemon/store"
	"diagsh/internal/daemon/tokens"
	"diagsh/internal/loglimit"
	"diagsh/internal/menu"
)

// LoginsFile is the log of logins in the data directory. It is appended to at each login and
// logout.
const LoginsFile = "visits.jsonl"

// Options are what People are opened with.
type Options struct {
	Dir          string            // the data directory
	AdminKeyFile string            // public keys to install for FirstAdministrator, in the form of authorized_keys(5); may be empty
	LastSign     time.Time         // when the appliance that ran before was last seen to do something
	OnDeleted    func(user string) // called after an account was deleted; may be nil
	Directory    Directory         // knows people who have no account here; may be nil
	Settings     *settings.Settings
	Audit        *audit.Log
	SetAside     func(store.Damage) // is told of a damaged file of tokens or logins; nil: Open fails
	Tell         access.Teller      // of sessions, by their identifiers
	TellAccounts access.Teller      // of accounts, by the names of their users
	TellTokens   access.Teller      // of tokens, by the names of their users
	Log          *slog.Logger
}

// People are the users of the appliance. They implement api.Logins but for the banner. Their
// methods may be called from any goroutine.
type People struct {
	settings *settings.Settings
	audit    *audit.Log
	log      *slog.Logger

	accounts     *accounts
	hasher       *hasher
	guard        *guard
	sessions     *sessionTable
	past         *loginlog.Log
	histories    *histories
	tokens       *tokens.Tokens
	passes       *passes.Passes // nil: the appliance does not answer clients of Azure
	directory    Directory      // nil: nobody comes in who has no account
	asking       *turnstile
	renewing     sync.Mutex // held while servers are asked again about those who are logged in
	renewals     sync.WaitGroup
	renewCtx     context.Context
	stopRenewing context.CancelFunc
	unchecked    loglimit.Tally    // passwords refused unseen
	strangers    loglimit.Tally    // users of the machine without an account
	knocks       *loglimit.Limiter // lines about connections without a login
	wrongTokens  *loglimit.Limiter // lines about tokens, and about ends of sign-ins, that were refused
	onDeleted    func(user string)

	adminKeyFile      string
	firstPassword     menu.Secret
	firstPasswordFile string
}

// Open reads the accounts, or makes the first one. Logins that had no end when the appliance died
// get one.
func Open(o Options) (*People, error) {
	p := &People{
		settings: o.Settings, audit: o.Audit, log: o.Log, hasher: newHasher(), guard: newGuard(o.Settings.LoginRules()),
		knocks: loglimit.New(knockBurst, knockEvery), wrongTokens: loglimit.New(knockBurst, knockEvery), onDeleted: o.OnDeleted, adminKeyFile: o.AdminKeyFile, firstPasswordFile: filepath.Join(o.Dir, "first-password"),
	}
	p.directory, p.asking = o.Directory, newTurnstile(askingSlots, askingQueue)
	p.renewCtx, p.stopRenewing = context.WithCancel(context.Background())
	if p.onDeleted == nil {
		p.onDeleted = func(string) {}
	}
	var err error
	if p.past, err = loginlog.Open(filepath.Join(o.Dir, LoginsFile), o.LastSign, o.SetAside, o.Log); err != nil {
		return nil, err
	}
	p.sessions = newSessionTable(o.Settings.SessionLimits(), p.past, o.Audit.Record)
	p.sessions.tell = o.Tell
	if p.tokens, err = tokens.Open(o.Dir, o.TellTokens, o.SetAside); err == nil {
		p.histories, err = openHistories(filepath.Join(o.Dir, "history"))
	}
	if err == nil && o.Settings.Azure().Subscription != "" {
		p.passes, err = passes.Open(o.Dir, o.SetAside)
	}
	if err == nil {
		err = p.openAccounts(filepath.Join(o.Dir, "users.json"))
	}
	if err == nil {
		p.accounts.onChanged = func(users []string) {
			o.TellAccounts.Changed(users...)
			p.sessions.tellOf(users)
		}
	}
	if err != nil {
		p.past.Close()
		return nil, err
	}
	return p, nil
}

// openAccounts reads the accounts, or makes the first one.
func (p *People) openAccounts(path string) error {
	var fresh bool
	var err error
	if p.accounts, fresh, err = openAccounts(path); err != nil {
		return err
	}
	if fresh {
		if p.firstPassword, err = p.accounts.begin(p.hasher, p.firstPasswordFile); err != nil {
			return err
		}
	}
	if p.adminKeyFile != "" {
		return p.accounts.install(p.adminKeyFile)
	}
	return nil
}

// Sweep ends sessions that are idle, those of the page that last too long, and those of accounts that have expired.
func (p *People) Sweep(now time.Time) {
	p.sessions.endIdle(p.settings.IdleTimeout())
	p.sessions.endLong(now, p.settings.LongestWebSession())
	for _, u := range p.accounts.now.Load().users {
		if u.expired(now) {
			p.sessions.endUser(u.User, "account expired")
		}
	}
	p.sweepTokens(now)
	p.sweepPasses(now)
	p.sweepOutside(now)
}

// Stop ends all sessions and lets none begin.
func (p *People) Stop() { p.sessions.close() }

// Close writes down the latest uses of tokens, and closes the log of logins.
func (p *People) Close(context.Context) error {
	p.stopRenewing()
	p.renewals.Wait()
	return errors.Join(p.tokens.Save(time.Now()), p.past.Close())
}

// FirstPassword returns the password of FirstAdministrator if this start made it, to be shown once
// on a terminal; else "".
func (p *People) FirstPassword() string { return string(p.firstPassword) }

// FirstPasswordFile returns the path of the file with the initial password, or "" once it was used
// or changed. Only the appliance's own user can read it. So what keeps the output of the appliance,
// such as the journal, need not have the password.
func (p *People) FirstPasswordFile() string {
	if _, err := os.Stat(p.firstPasswordFile); err != nil {
		return ""
	}
	return p.firstPasswordFile
}

func (p *People) forgetFirstPassword() {
	if err := os.Remove(p.firstPasswordFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Error("the file of the first password cannot be removed", "error", err)
	}
}

// Losses lists what Reset takes away.
func (p *People) Losses() []access.Loss {
	var names []string
	for _, a := range p.Accounts() {
		names = append(names, a.User)
	}
	detail := strings.Join(names, ", ") + "; " + FirstAdministrator + " is made anew with another password"
	return []access.Loss{{What: "accounts, with passwords, keys, tokens and histories", Count: len(names), Detail: detail}}
}

// Reset deletes all accounts, makes FirstAdministrator anew and returns its password. The sessions
// of all others end. The caller's own connection stays until it has the answer, and can do nothing
// more if its account is gone.
func (p *People) Reset(caller menu.Caller) (menu.Secret, error) {
	password := randomPassword()
	hash := p.hasher.hash(password)
	if _, err := p.deleteTokens(caller.Session, "factory values", func(access.Token) bool { return true }); err != nil {
		return "", err
	}
	if p.passes != nil {
		if err := p.passes.Renew(); err != nil {
			return "", err
		}
	}
	before := p.accounts.now.Load().sorted()
	err := p.accounts.update(func(users map[string]user) error {
		clear(users)
		users[FirstAdministrator] = firstAccount(hash)
		return nil
	})
	if err != nil {
		return "", err
	}
	p.forgetFirstPassword()
	for _, u := range before {
		p.guard.unlock(u.User)
		p.histories.forget(u.User)
		if u.User != caller.User {
			p.sessions.endUser(u.User, "factory values")
		}
	}
	if p.adminKeyFile == "" {
		return password, nil
	}
	return password, p.accounts.install(p.adminKeyFile)
}
