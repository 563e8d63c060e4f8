// Package daemon is the running appliance. What must outlive a session lives in its rooms and
// nowhere else. *Daemon embeds the rooms and opens, orders and closes them: rooms.go has the order.
// It implements api.Appliance; commands reach it through the small interfaces that they declare
// themselves.
//
//	store         how bytes get on the disk
//	settings      what holds: the host configuration, and what is committed on top of it
//	audit         who did what
//	feed          what changes, for those who listen
//	people        who may come in, and who is in
//	files         the diagnostic directory, whose files have owners
//	commits       the configuration that people commit, and what it changes on the machine
//	certificates  what clients of TLS are shown, and its keys
//	exports       copies of files to other hosts
//	captures      captures, and views of packets
//	reports       archives of what commands say
//	scenarios     bundles of options for captures, and archives of all that belongs to one
//
// # What is in the data directory
//
//	lock              held by the one appliance that uses the directory (flock)
//	api.sock          the appliance's own socket, if no other is named
//	hostkeys/         the host keys of the SSH server
//	config.yaml       the host configuration, if no other file is named; read once, at the start
//	services.yaml     the vendor's part of the catalogue of services, beside the host configuration
//	users.json        the accounts; replaced as a whole, never edited in place
//	first-password    the first password of admin, until the first login with it
//	visits.jsonl      logins and their ends
//	audit/            audit.jsonl and the older audit-NNNNNN.jsonl; appended to, never edited
//	history/USER      the lines that a user typed
//	captures.json     captures that ended, and those that were running at the last look
//	commits.json      the ledger of the configuration: the last commits, and one that is being applied
//	configuration/    what saveconfig wrote
//	certificates/     own.json, the certificate that the appliance made itself, others by their
//	                  fingerprints or of a CA by ACME, each with its key; request.json, a request
//	                  with its key; acme-account.json, the account at the CA
//	filters.json      the filters that users keep by a name
//	settings.json     what a capture starts with unless its owner says otherwise
//	exportsettings.json  how many copies there are at a time, and how fast
//	targets.json      where files are copied to, with secrets
//	exports.json      the files that wait to be copied, and those that were
//	export.key        the key by which the appliance logs in at targets
//	reports.json      who made which report, and who may read it
//	scenarios.json    what is to be done for captures with a scenario or a report, and what was done
//	tables/           what tables said before and after such captures
//	scenarios/        the vendor's scenarios, beside the host configuration
//	log/              appliance.jsonl, the appliance's own log, and the one before it
//	diagnostic/       finished captures and reports; what is being written begins with a dot
//
// # What survives what
//
// Accounts, settings and the capture table are written with fsync before an operation succeeds.
// Each says its version, and one of a newer build is refused. Lines of the audit log, logins and
// histories have reached the kernel when the call returns, so that they survive the death of the
// process; the audit log is on the disk within five seconds.
package daemon
