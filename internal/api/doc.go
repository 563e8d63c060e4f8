// Package api is the boundary of the appliance: HTTP and JSON over a Unix socket, both ends of it. Everything that a person or a
// program can have done passes here, and only here: the caller's role is compared with what the command requires, the arguments
// are checked, the act is written to the audit log.
//
// Resources (all under /v1):
//
//	GET    session             who am I: the greeting
//	GET    hostname            the present name, for a prompt
//	GET    leaving             what a user who leaves should know
//	GET    tree                every menu and command with its parameters
//	GET    menu/PATH           a menu as it stands now: its status lines and the items that can be used
//	GET    help/PATH           the help text
//	POST   parse               a typed line: which commands, which arguments
//	POST   complete            what may stand at the end of a line
//	POST   ask/PATH            the arguments so far: the next question of the dialogue, if any
//	POST   assist/PATH         the text begun for one argument: what may follow
//	POST   run/PATH            the arguments: runs the command
//	POST   interrupt/RUN       asks a running command to end, as Ctrl-C does
//	POST   input/RUN           says a line to a running command that was begun with ?input=typed or ?input=piped
//	POST   history             a line to remember
//	GET    files               the diagnostic directory
//	GET    files/NAME          a file, with ranges
//	DELETE files/NAME
//
// A connection carries one identity for its whole life: on the appliance's socket the kernel says who the peer is; a session
// process inherits a connection that its login was bound to before the process began.
package api
