// Package menu defines menus, commands and parameters. From one declaration it derives everything
// that users and programs meet: the dialogue's questions, the one-line form, completion, help, the
// tree as JSON, and the checks of every argument.
//
// It is the ground floor: standard library only. It knows no packet, no socket and no terminal. It
// compares no roles: the declaration carries the role that a command requires, and package api
// decides.
package menu
