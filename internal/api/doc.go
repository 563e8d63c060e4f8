// Package api is the boundary of the appliance: HTTP and JSON over a Unix socket, both ends of it.
// Everything that a user or a program has the appliance do passes here, and only here. The boundary
// compares the caller's role with the one that the command requires, checks the arguments, and
// writes the act to the audit log.
//
// Resources (all under /v1):
//
//	GET    session             the caller, and the greeting
//	GET    hostname            the present hostname, for a prompt
//	GET    leaving             what the caller should know before leaving the menus
//	GET    tree                every menu and command with its parameters
//	GET    openapi.json        the document of OpenAPI 3.1
//	GET    menu/PATH           a menu as it is now: its status lines and the items that can be used
//	GET    help/PATH           the help text
//	POST   parse               a typed line: returns its commands with their arguments
//	POST   complete            what may follow at the end of a line
//	POST   ask/PATH            the arguments so far: returns the next question of the dialogue
//	POST   assist/PATH         the text begun for one argument: returns what may follow
//	POST   run/PATH            the arguments: runs the command
//	GET    runs                the runs in the background
//	GET    runs/RUN            the state of one; DELETE ends it
//	GET    runs/RUN/result     what its command answered
//	POST   interrupt/RUN       asks a running command to end, as Ctrl-C does
//	POST   input/RUN           a line for a run that was started with ?input=typed or ?input=piped
//	POST   history             a line to remember
//	GET    events              what changes, as server-sent events
//	GET    problems/TYPE       what a type of problem means
//	GET    files               the diagnostic directory
//	GET    files/NAME          a file, with ranges
//	DELETE files/NAME
//	GET    archive?name=NAME   several files as one zip
//
// A connection has one identity for its whole life. On the appliance's socket the kernel says who
// the peer is. A session process inherits a connection that was bound to its login before it
// started.
package api
