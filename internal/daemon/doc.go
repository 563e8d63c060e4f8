// Package daemon is the running appliance: accounts, logins and sessions, the audit log, the configuration, the diagnostic
// directory and the captures. What must outlive a session lives here and nowhere else. *Daemon implements api.Appliance; commands
// reach it through the small interfaces that they declare themselves.
//
// # What is in the data directory
//
//	lock              held by the one appliance that uses the directory (flock)
//	api.sock          the appliance's own socket, if no other is named
//	hostkeys/         the host keys of the SSH server
//	config.yaml       the owner's file, if no other file is named; read once, at the start
//	services.yaml     the vendor's part of the catalogue of services, beside the owner's file
//	users.json        the accounts; replaced as a whole, never edited in place
//	first-password    the first password of admin, until the first login with it
//	visits.jsonl      logins and their ends
//	audit/            audit.jsonl and the older audit-NNNNNN.jsonl; appended to, never edited
//	history/USER      the lines that a user typed
//	captures.json     captures that ended, and those that were running at the last look
//	commits.json      the ledger of the configuration: the last commits, and one that is being applied
//	configuration/    what saveconfig wrote
//	settings.json     what a capture starts with unless its owner says otherwise
//	targets.json      where files are copied to, with secrets
//	exports.json      the files that wait to be copied, and those that were
//	export.key        the key by which the appliance logs in at targets
//	reports.json      who made which report, and who may read it
//	log/              appliance.jsonl, the appliance's own log, and the one before it
//	diagnostic/       finished captures and reports; what is being written begins with a dot
//
// # How guessing a password is made slow
//
// The aim is that guessing does not pay, and that nobody can lock somebody else out by guessing badly. So failures are counted
// against the one who fails, not against the account that is aimed at:
//
//   - A source is an IPv4 address, or an IPv6 /64, which is what one customer of a network gets. The passwords that one source
//     sends are checked one after the other, and after each failure the next answer takes longer: 0, 0, 1, 2, 4 ... 30 s. The
//     delay holds no hashing slot, so that a flood from one source takes nothing from another.
//   - A source that fails ten times with one user name is refused for that name for five minutes without a look at the
//     password, then for ten, up to an hour. The lock binds the pair of source and name. A flood can therefore not shut out the
//     account's owner, who comes from elsewhere (compare OWASP, "Slow Down Online Guessing Attacks with Device Cookies": a
//     source that the user has logged in from before stands where the cookie stands).
//   - A botnet has many sources. From twenty failures for one name on, over all sources, the account takes one password per
//     second from sources that its user never logged in from; then one in two, four, eight seconds. Sources that the user has
//     logged in from lately do not wait in that line.
//   - Whoever has a /48 of IPv6 has 65536 sources. So failures are counted for the /48 and the /56 too, and from twenty on these have such
//     a line as well. Turns at the hashing are given by network, /48 before /56 before source, and where all places are taken the
//     network with most of them makes room. A source that the user has logged in from lately has a hashing slot and places that strangers
//     have no part in.
//   - Public keys cannot be guessed: they are never delayed, never locked and count as no failure. The way in for an
//     administrator whose password is under attack is a key, or root on the machine itself.
//   - Names that do not exist are treated the same in all of this, hash included, so that nobody learns which names do.
//
// All of it is forgotten when the appliance restarts; it is kept in bounded memory, the least recently seen source first to go.
//
// # What survives what
//
// Accounts, settings and the capture table are written with fsync before an operation succeeds. Lines of the audit log, visits
// and histories have reached the kernel when the call returns, so that they survive the death of the process; the audit log is
// on the disk within five seconds.
package daemon
