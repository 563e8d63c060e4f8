package etherconfig

import (
	"fmt"
	"io"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// A multicastState is what the appliance does with ARP replies that have a multicast address, after
// the caller's commit.
type multicastState struct {
	Replies string `json:"multicastReplies"` // accepted, rejected
	Pending bool   `json:"pending"`
}

func multicast(s Services) *menu.Menu {
	return &menu.Menu{
		Name:   "multicast",
		Help:   "Accept or reject ARP replies with a multicast address.",
		Status: statusAbove(s, multicastNow, multicastText),
		Items:  []menu.Item{multicastAccept(s), multicastReject(s), multicastStatus(s)},
	}
}

// multicastNow returns the state after the caller's commit.
func multicastNow(view config.View) multicastState {
	is := multicastState{Replies: "accepted",
		Pending: view.Candidate[config.MulticastARP] != view.Running[config.MulticastARP]}
	if !multicastAccepted(view) {
		is.Replies = "rejected"
	}
	return is
}

func multicastText(w io.Writer, m multicastState) {
	fmt.Fprintf(w, "ARP replies with a multicast address are %s.%s\n", m.Replies, pending(m.Pending))
}

func multicastAccept(s Services) *menu.Command {
	return setSpec(s, "accept", "Accept ARP replies with a multicast address.", config.MulticastARP, config.Accept,
		multicastAccepted).Command()
}

func multicastReject(s Services) *menu.Command {
	help := "Reject ARP replies with a multicast address."
	return setSpec(s, "reject", help, config.MulticastARP, config.Reject, func(view config.View) bool {
		return !multicastAccepted(view)
	}).Command()
}

func multicastAccepted(view config.View) bool {
	return view.Candidate[config.MulticastARP] != config.Reject
}

func multicastStatus(s Services) *menu.Command {
	return statusSpec(s, "Show what becomes of ARP replies with a multicast address.", multicastNow,
		multicastText).Command()
}
