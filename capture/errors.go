package capture

import (
	"errors"
	"fmt"
)

var (
	// ErrNotPermitted: this process may not capture packets.
	ErrNotPermitted = errors.New("capturing packets is not permitted; the appliance needs root, or the capability " +
		"CAP_NET_RAW")

	// ErrSizeLimit is returned by File.Write for a packet that would exceed the limit.
	ErrSizeLimit = errors.New("the size limit of the file is reached")

	// ErrInterfacesChanged is returned by Source.Read when there may be new interfaces, or
	// one has another name.
	ErrInterfacesChanged = errors.New("there are other interfaces than before")

	// ErrNotReady is returned by Follower.Add for an interface whose packets cannot be taken
	// yet: what the kernel needs for it is being made.
	ErrNotReady = errors.New("the interface is not ready yet")

	// ErrMixedLinkTypes: a pcap file has one link type for all its packets.
	ErrMixedLinkTypes = errors.New("interfaces of different kinds do not fit in one pcap file; use the format pcapng")
)

// SpecError says which member of a Spec is wrong and what is accepted.
type SpecError struct {
	Member string // the member's JSON name
	Text   string
	Hint   string // what to do; may be empty
}

func (e *SpecError) Error() string { return e.Text }

// NoSuchInterfaceError: the machine has no interface of that name.
type NoSuchInterfaceError struct{ Name string }

func (e *NoSuchInterfaceError) Error() string {
	return fmt.Sprintf("there is no interface %s", e.Name)
}

// UnsupportedInterfaceError: packets of this kind of interface cannot be captured.
type UnsupportedInterfaceError struct {
	Name         string
	HardwareType int // Linux's ARPHRD_ number
}

func (e *UnsupportedInterfaceError) Error() string {
	return fmt.Sprintf("interface %s is of a kind that cannot be captured (hardware type %d)", e.Name, e.HardwareType)
}

// InterfaceGoneError is returned by Source.Read when an interface was removed.
type InterfaceGoneError struct {
	Name     string
	Position int // of its packets
	Left     int // how many interfaces of the source are still there
}

func (e *InterfaceGoneError) Error() string {
	return fmt.Sprintf("interface %s was removed", e.Name)
}

// DiskLowError: the disk has less free space than the reserve.
type DiskLowError struct {
	FreeBytes    int64
	ReserveBytes int64
}

func (e *DiskLowError) Error() string {
	return fmt.Sprintf("the disk is low: %d bytes are free and %d are kept in reserve; delete files first",
		e.FreeBytes, e.ReserveBytes)
}

// FileExistsError: there is already a file where the capture would be written.
type FileExistsError struct{ Name string }

func (e *FileExistsError) Error() string { return fmt.Sprintf("the file %s exists already", e.Name) }

// QuotaError: the captures have the space that they are allowed together.
type QuotaError struct{ QuotaBytes int64 }

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the diagnostic directory is at its quota of %d bytes; delete files first", e.QuotaBytes)
}
