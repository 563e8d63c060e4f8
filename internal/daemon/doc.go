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
// # What survives what
//
// Accounts, settings and the capture table are written with fsync before an operation succeeds. Lines of the audit log, visits
// and histories have reached the kernel when the call returns, so that they survive the death of the process; the audit log is
// on the disk within five seconds.
package daemon
