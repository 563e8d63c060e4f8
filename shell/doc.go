// Package shell is the terminal side of a session: the prompt, the menus, the dialogues, the pager,
// and the one-line form. It is a thin client of the API. Its only state is the position in the
// menus, so killing it loses nothing.
package shell
