package capture

import (
	"errors"
	"fmt"
)

var (
	// ErrNotPermitted is returned by Config.Open if this process may not capture packets.
	ErrNotPermitted = errors.New("capturing packets is not permitted; the appliance needs root, or the capability " +
		"CAP_NET_RAW")

	// ErrSizeLimit is returned by File.Write for a packet that would exceed FileHeader.MaxBytes.
	ErrSizeLimit = errors.New("the size limit of the file is reached")

	// ErrInterfacesChanged is returned by Source.Read when there may be new interfaces, or one has
	// another name.
	ErrInterfacesChanged = errors.New("there are other interfaces than before")

	// ErrNotReady is returned by Follower.Add for an interface whose ring is still being made.
	ErrNotReady = errors.New("the interface is not ready yet")

	// ErrMixedLinkTypes is returned for a pcap file, which has one link type for all its packets.
	ErrMixedLinkTypes = errors.New("interfaces of different kinds do not fit in one pcap file; use the format pcapng")
)

// SpecError names the member of a Spec that is wrong, and says what is accepted.
type SpecError struct {
	Member string // the member's JSON name
	Text   string
	Hint   string // what to do; may be empty
}

func (e *SpecError) Error() string { return e.Text }

// NoSuchInterfaceError means that the machine has no interface of that name.
type NoSuchInterfaceError struct{ Name string }

func (e *NoSuchInterfaceError) Error() string {
	return fmt.Sprintf("there is no interface %s", e.Name)
}

// UnsupportedInterfaceError means that packets of this type of interface cannot be captured.
type UnsupportedInterfaceError struct {
	Name         string
	HardwareType int // ARPHRD_ number of linux/if_arp.h
}

func (e *UnsupportedInterfaceError) Error() string {
	return fmt.Sprintf("interface %s is of a kind that cannot be captured (hardware type %d)", e.Name, e.HardwareType)
}

// NoSuchProcessError means that no process has that number.
type NoSuchProcessError struct{ PID string }

func (e *NoSuchProcessError) Error() string { return fmt.Sprintf("there is no process %s", e.PID) }

// UnsupportedProcessError means that this machine cannot tell the packets of one process from those
// of others. Err says why, in a sentence for users without full stop.
type UnsupportedProcessError struct{ Err error }

func (e *UnsupportedProcessError) Error() string {
	return "the packets of one process cannot be captured: " + e.Err.Error()
}

func (e *UnsupportedProcessError) Unwrap() error { return e.Err }

// InterfaceGoneError is returned by Source.Read when an interface was removed.
type InterfaceGoneError struct {
	Name     string
	Position int // of the interface, as Packet.Interface has it
	Left     int // number of interfaces of the source that are still there
}

func (e *InterfaceGoneError) Error() string {
	return fmt.Sprintf("interface %s was removed", e.Name)
}

// DiskLowError means that the disk has less free space than the reserve. Both numbers are bytes.
type DiskLowError struct {
	FreeBytes    int64
	ReserveBytes int64
}

func (e *DiskLowError) Error() string {
	return fmt.Sprintf("the disk is low: %d bytes are free and %d are kept in reserve; delete files first",
		e.FreeBytes, e.ReserveBytes)
}

// FileExistsError means that a file has the name already that the capture would write to.
type FileExistsError struct{ Name string }

func (e *FileExistsError) Error() string { return fmt.Sprintf("the file %s exists already", e.Name) }

// QuotaError means that all captures together have reached their quota, in bytes.
type QuotaError struct{ QuotaBytes int64 }

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the diagnostic directory is at its quota of %d bytes; delete files first", e.QuotaBytes)
}
