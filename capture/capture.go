// Package capture is the packet engine: its words (Spec, State, StopReason,
// Status, Packet) and the Job that moves packets from a source to a file.
//
// It knows neither sockets nor file formats. A Source hands it packets, as
// capture/afpacket does from the network; a File takes them, as capture/pcapfile
// writes them; whoever starts a Job joins the two:
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
// A packet that passes the filter is matched, and then received or dropped:
// PacketsReceived counts what the kernel put in the ring, PacketsDropped what it could
// not put there because the ring was full. PacketsSeen is beside them: what the interfaces
// counted before the filter, which the kernel tells only of the interfaces and not of a
// socket: a packet socket's own counters (packet(7), PACKET_STATISTICS) begin behind its
// filter. What was received is written, except when a
// limit ends the capture: then the packets behind the limit stay in the ring; or when
// the disk takes no more.
package capture

// All, in Spec.Interfaces, stands for every interface of the machine.
const All = "ALL"

// Unlimited, as a limit, says that somebody asked for no limit. It is not the
// zero value, so that no capture is without bounds by accident.
const Unlimited = -1

// MaxSnapLength is the longest part of a packet that is kept, and what a
// SnapLength of 0 means: the whole packet, as large as packets get. It is the
// value of tcpdump and Wireshark, which refuse files with longer ones.
const MaxSnapLength = 262144
