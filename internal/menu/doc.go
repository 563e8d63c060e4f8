// Package menu says what a menu, a command and a parameter are. From one declaration it derives everything that people and
// programs meet: the dialogue's questions, the one-line form, completion, help, the tree as JSON, and the checks of every argument.
//
// It is the ground floor: standard library only. It knows no packet, no socket and no terminal, and it compares no roles; the
// declaration carries the role that a command requires, and package api decides.
package menu
