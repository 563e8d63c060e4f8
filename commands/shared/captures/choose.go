package captures

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/capture/filter"
	links "diagsh/diag/interfaces"
	"diagsh/internal/menu"
)

// SuggestFilter returns what may follow at the end of the beginning of a filter expression. It
// suggests addresses of this host.
func SuggestFilter(text string, interfaces []capture.InterfaceInfo) menu.Completion {
	var addresses []filter.Candidate
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			address, _, _ := strings.Cut(a, "/")
			addresses = append(addresses, filter.Candidate{Text: address, Help: "This host, " + i.Name + "."})
		}
	}
	start, fitting := filter.Complete(text, len(text), addresses)
	c := menu.Completion{Start: start, Candidates: []menu.Candidate{}}
	for _, f := range fitting {
		c.Candidates = append(c.Candidates, menu.Candidate{Text: f.Text, Help: f.Help})
	}
	return c
}

// Clear is the word that removes a filter.
const Clear = "CLEAR"

// Cleared returns expression, or "" if it is Clear.
func Cleared(expression string) string {
	if strings.EqualFold(strings.TrimSpace(expression), Clear) {
		return ""
	}
	return strings.TrimSpace(expression)
}

// OfAll returns the process whose packets are captured, or "" if it is capture.All.
func OfAll(process string) string {
	if strings.EqualFold(process, capture.All) {
		return ""
	}
	return process
}

// Running returns the captures that run.
func Running(list []capture.Status) []capture.Status {
	return slices.DeleteFunc(slices.Clone(list), func(s capture.Status) bool { return s.State != capture.Running })
}

// Active returns the captures that run, and those that wait for their time.
func Active(list []capture.Status) []capture.Status {
	return slices.DeleteFunc(slices.Clone(list),
		func(s capture.Status) bool { return s.State != capture.Running && s.State != capture.NotStarted })
}

// Ended returns the captures that have ended.
func Ended(list []capture.Status) []capture.Status {
	return slices.DeleteFunc(slices.Clone(list),
		func(s capture.Status) bool { return s.State == capture.Running || s.State == capture.NotStarted })
}

// Current returns the captures that run, or if none does the one that ended last.
func Current(list []capture.Status) []capture.Status {
	if running := Running(list); len(running) > 0 || len(list) == 0 {
		return running
	}
	return list[:1]
}

// ChoosePackets offers captures with packets to show, the last one first as the default. The name
// of a file is accepted too.
func ChoosePackets(q *menu.Question, list []capture.Status) {
	Choose(q, list)
	q.Skip, q.Required = false, true
	if len(list) > 0 {
		q.Default = list[0].Name
	}
}

// Choose offers captures by name. If there is only one it skips the question.
func Choose(q *menu.Question, list []capture.Status) {
	for _, s := range list {
		q.Choices = append(q.Choices, menu.Choice{Value: s.Name, Label: s.Name + " - " + State(s)})
	}
	q.Skip, q.Required = len(list) < 2, len(list) > 1
	q.Open = true // for an unknown name Run returns the better error, NotFound
}

// onlyActive returns name, or if it is "" the name of the only capture that runs or waits for its
// time.
func onlyActive(list []capture.Status, name string) (string, error) {
	active := Active(list)
	switch {
	case name != "":
		return name, nil
	case len(active) == 1:
		return active[0].Name, nil
	case len(active) == 0:
		return "", menu.Errorf(menu.State, "No capture is running").WithHint("Start one with start")
	}
	return "", menu.BadArgument("name", "%d captures are running", len(active)).WithHint("Name the one that is meant")
}

// ChooseInterfaces offers the interfaces and ALL. The present ones are the default.
func ChooseInterfaces(q *menu.Question, interfaces []capture.InterfaceInfo, present []string) {
	q.Open = len(links.AltNames()) > 0 // alternative names are accepted too
	for _, i := range interfaces {
		state := "down"
		if i.Up {
			state = "up"
		}
		label := fmt.Sprintf("%s (%s, %s)", i.Name, state, i.LinkType)
		if len(i.Addresses) > 0 {
			label = fmt.Sprintf("%s (%s, %s)", i.Name, state, strings.Join(i.Addresses, " "))
		}
		q.Choices = append(q.Choices, menu.Choice{Value: i.Name, Label: label})
	}
	q.Choices = append(q.Choices, menu.Choice{Value: capture.All, Label: "ALL interfaces", AnyCase: true})
	q.Default = strings.Join(present, ",")
}

// Settings writes the stored settings.
func Settings(w io.Writer, s capture.Settings) {
	line := func(label, format string, arguments ...any) { fold(w, label, indent, format, arguments...) }
	line("Filter:", "%s", Filter(s.Filter))
	filters(w, capture.Status{Options: s.Options})
	line("Interfaces:", "%s", strings.Join(s.Interfaces, ", "))
	line("Limits:", "%s", Limits(s.Limits))
	if s.SnapLength > 0 {
		line("Snap length:", "%d bytes of each packet", s.SnapLength)
	}
	extras(w, capture.Status{Options: s.Options})
	switch {
	case s.Format == capture.PCAP && (s.Comment != "" || s.CaseNumber != ""):
		line("Format:", "pcapng, because of the comment or case number; else pcap")
	case s.Format != "":
		line("Format:", "%s", s.Format)
	}
	if s.RingBytes > 0 {
		line("Ring:", "%s", Bytes(s.RingBytes))
	}
	line("Management:", "the packets of management sessions are %s", management(s.Management))
}

// Count returns a number with its noun: 1 file, 2 files.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
