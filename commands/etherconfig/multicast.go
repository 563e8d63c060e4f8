package etherconfig

import (
	"context"
	"fmt"
	"io"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// A multicastState is what becomes of ARP replies with a multicast address, after the caller's commit.
type multicastState struct {
	Replies string `json:"multicastReplies"` // accepted, rejected
	Pending bool   `json:"pending"`
}

func multicast(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "multicast",
		Help: "Accept or reject ARP replies with a multicast address.",
		Status: func(_ context.Context, caller menu.Caller, w io.Writer) error {
			multicastText(w, multicastNow(s.Configuration(caller)))
			return nil
		},
		Items: []menu.Item{
			multicastVerb(s, "accept", "Accept ARP replies with a multicast address.", config.Accept),
			multicastVerb(s, "reject", "Reject ARP replies with a multicast address.", config.Reject),
			multicastStatus(s),
		},
	}
}

func multicastNow(view config.View) multicastState {
	is := multicastState{Replies: "accepted", Pending: view.Candidate[config.MulticastARP] != view.Running[config.MulticastARP]}
	if view.Candidate[config.MulticastARP] == config.Reject {
		is.Replies = "rejected"
	}
	return is
}

func multicastText(w io.Writer, m multicastState) {
	fmt.Fprintf(w, "ARP replies with a multicast address are %s.%s\n", m.Replies, pending(m.Pending))
}

type multicastVerbArgs struct{}

// multicastVerb is the one of the two that would change something.
func multicastVerb(s Services, name, help, value string) *menu.Command {
	return menu.Spec[multicastVerbArgs, config.Change]{
		Name: name,
		Help: help,
		Role: menu.Administrator,
		HiddenFrom: func(_ context.Context, caller menu.Caller) bool {
			return (multicastNow(s.Configuration(caller)).Replies == "rejected") == (value == config.Reject)
		},
		Run: func(_ context.Context, caller menu.Caller, _ multicastVerbArgs, out *menu.Out[config.Change]) error {
			return edit(s, caller, out, func(d config.Document) { d.Set(config.MulticastARP, value) })
		},
		TextTable: changes.Pending,
	}.Command()
}

type multicastStatusArgs struct{}

func multicastStatus(s Services) *menu.Command {
	return menu.Spec[multicastStatusArgs, multicastState]{
		Name:  "status",
		Help:  "Show what becomes of ARP replies with a multicast address.",
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Run: func(_ context.Context, caller menu.Caller, _ multicastStatusArgs, out *menu.Out[multicastState]) error {
			return out.Record(multicastNow(s.Configuration(caller)))
		},
		Text: multicastText,
	}.Command()
}
