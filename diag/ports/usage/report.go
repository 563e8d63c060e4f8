// Package usage sums up a port log: who used which ports and talked with whom, how much, and what of
// it is worth a look. Its memory is bounded however long the log is.
package usage

import (
	"net/netip"
	"time"

	"diagsh/diag/ports"
)

// A Report is what a port log says.
type Report struct {
	// First and Last are the times of the first and the last record.
	First   time.Time `json:"firstTime,omitzero"`
	Last    time.Time `json:"lastTime,omitzero"`
	Records uint64    `json:"records"`
	Gaps    uint64    `json:"gaps"` // stretches in which records are missing
	Lost    uint64    `json:"lost"` // events that are missing, as far as they were counted

	Events []EventCount `json:"events"` // in the order of ports.Events

	Ports     List[PortUse]    `json:"ports"`
	Processes List[ProcessUse] `json:"processes"`
	Addresses List[AddressUse] `json:"addresses"` // of the other ends
	Users     List[UserUse]    `json:"users"`
	Hours     List[HourUse]    `json:"hours"` // in the order of time
	Talkers   List[Talker]     `json:"talkers"`
	Failures  List[Failure]    `json:"failures"`
	Listeners List[Listener]   `json:"listeners"` // those that came or went, the newest first
	Once      List[Once]       `json:"once"`      // the newest first
	Suspects  List[Suspect]    `json:"suspects"`

	// Interest are the uses of addresses that were asked for, NoInterest those of these of which the
	// log has nothing.
	Interest   List[InterestUse] `json:"interest"`
	NoInterest []string          `json:"noInterest"`
}

// A List is the first rows of a table.
type List[T any] struct {
	Rows []T `json:"rows"`
	More int `json:"more"` // rows that are left out

	// Dropped counts groups that were dropped to bound the memory, those with the fewest records
	// each time. The figures of groups that came after that are marked as AtLeast.
	Dropped uint64 `json:"dropped"`
}

// A Use is how much something was used. Records without it count all of the others' members too.
type Use struct {
	Records       uint64    `json:"records"`
	Connections   uint64    `json:"connections"` // and conversations of UDP
	Failures      uint64    `json:"failures"`    // refused, timed out, aborted, failed, rejected
	BytesSent     uint64    `json:"bytesSent"`   // of sockets that were closed
	BytesReceived uint64    `json:"bytesReceived"`
	First         time.Time `json:"firstTime"`
	Last          time.Time `json:"lastTime"`
	AtLeast       bool      `json:"atLeast,omitempty"` // there was more, which was dropped
}

func (u Use) bytes() uint64 { return u.BytesSent + u.BytesReceived }

// An EventCount is how often something happened.
type EventCount struct {
	Event   ports.Event `json:"event"`
	Records uint64      `json:"records"`
}

// An End says on which side a port is.
type End string

const (
	Local  End = "local"  // here: somebody waits at it
	Remote End = "remote" // there: somebody here connects to it
)

// A PortUse is the use of a port where services are. The port that a client has by chance is none.
type PortUse struct {
	Protocol ports.Protocol `json:"protocol"`
	Port     uint16         `json:"port"`
	End      End            `json:"end"`
	Use
}

// A Program is a process by its name and file, whichever its number.
type Program struct {
	Name string `json:"process,omitempty"`
	Exe  string `json:"exe,omitempty"`
}

// A ProcessUse is the use of the network by a program.
type ProcessUse struct {
	Program
	Use
}

// An AddressUse is the use of an address at the other end.
type AddressUse struct {
	Address netip.Addr `json:"address"`
	Use
}

// A UserUse is the use of the network by the processes of a user.
type UserUse struct {
	User string `json:"user,omitempty"`
	UID  uint32 `json:"uid"`
	Use
}

// An HourUse is the use of the network in the hour that begins at a time, in UTC.
type HourUse struct {
	Hour time.Time `json:"hourTime"`
	Use
}

// A Talker is a program and whom it talked with at a port, by the bytes.
type Talker struct {
	Program
	Address  netip.Addr     `json:"address,omitzero"` // none: a UDP socket with any number of peers
	Protocol ports.Protocol `json:"protocol"`
	Port     uint16         `json:"port,omitempty"`
	End      End            `json:"end,omitempty"`
	Use
}

// A Failure is a connection that did not come about, as often as it was tried.
type Failure struct {
	Event    ports.Event    `json:"event"`
	Protocol ports.Protocol `json:"protocol"`
	Address  netip.Addr     `json:"address,omitzero"` // of the other end
	Port     uint16         `json:"port"`             // that was asked for: there, or here if it was rejected
	Program
	Records uint64    `json:"records"`
	First   time.Time `json:"firstTime"`
	Last    time.Time `json:"lastTime"`
	AtLeast bool      `json:"atLeast,omitempty"`
}

// A Listener is a socket that waited for others, and came or went while the log was written.
type Listener struct {
	Protocol ports.Protocol `json:"protocol"`
	Address  netip.Addr     `json:"address,omitzero"`
	Port     uint16         `json:"port"`
	PID      int            `json:"pid"`
	Program
	User string     `json:"user,omitempty"`
	Came *time.Time `json:"cameTime,omitempty"` // nil: it was there before
	Went *time.Time `json:"wentTime,omitempty"` // nil: it is not known to have gone
}

// A Once is a program of which the log has one socket and no more.
type Once struct {
	Program
	PID     int            `json:"pid"`
	User    string         `json:"user,omitempty"`
	Time    time.Time      `json:"time"`
	Event   ports.Event    `json:"event"`
	Local   netip.AddrPort `json:"local,omitzero"`
	Remote  netip.AddrPort `json:"remote,omitzero"`
	Records uint64         `json:"records"`
}

// A Suspect is a process with the name of a program of the system, whose file is not that program.
type Suspect struct {
	Program
	Reason string `json:"reason"`
	PID    int    `json:"pid"` // of the first one
	User   string `json:"user,omitempty"`
	Use
}

// An InterestUse is a use of an address that was asked for.
type InterestUse struct {
	Wanted  string     `json:"wanted"` // as it was asked for
	Address netip.Addr `json:"address"`
	Program
	Protocol ports.Protocol `json:"protocol"`
	Port     uint16         `json:"port,omitempty"`
	End      End            `json:"end,omitempty"`
	Use
}
