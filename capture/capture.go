// Package capture is the packet engine: its words (Spec, State, StopReason, Status, Packet) and the
// Job that moves packets from a source to a file.
//
// It knows neither sockets nor file formats. A Source hands it packets, as capture/afpacket does
// from the network. A File takes them, as capture/pcapfile writes them. The caller of Start joins
// the two:
//
//	interfaces, err := afpacket.Resolve(spec.Interfaces)
//	...
//	job, err := capture.Start(capture.Config{
//		Spec:       spec,
//		Interfaces: interfaces,
//		Compile:    compile,                                   // capture/filter
//		Open:       afpacket.Options{Promiscuous: true}.Open,
//		Create:     pcapfile.Create,
//		Dir:        directory,
//		FileName:   "host-name-20261120-235100" + format.Extension(),
//	})
//	...
//	job.Stop(capture.StoppedByUser)
//	<-job.Done()
//	status := job.Status()
//
// # What the counters mean
//
// A packet that passes the filter is matched, and then received or dropped: PacketsReceived counts
// what the kernel put in the ring, PacketsDropped what it could not put there because the ring was
// full. What was received is written, with two exceptions: packets after a limit stay in the ring,
// and a disk that fails or is full takes no more.
//
// PacketsSeen does not add up with them. It is what the interfaces counted before the filter. The
// kernel has no such number for a socket: the counters of a packet socket (PACKET_STATISTICS in
// packet(7)) begin after its filter.
package capture

// All, as the only one of Spec.Interfaces, means every interface of the machine.
const All = "ALL"

// Unlimited, as a limit, means that the user asked for no limit. It is not the zero value, so that
// no capture is without limits by accident.
const Unlimited = -1

// MaxSnapLength is the largest number of bytes that a capture keeps of a packet, and what a
// SnapLength of 0 means. It is the limit of tcpdump and Wireshark, which refuse files with longer
// packets.
const MaxSnapLength = 262144
