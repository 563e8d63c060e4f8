package capture

// State is the state of a capture.
type State string

const (
	NotStarted State = "NotStarted"
	Running    State = "Running"
	Stopped    State = "Stopped"
	Error      State = "Error" // it ended by a failure: FileError, StartFailed
)

// StopReason says why a capture ended. Every end has one of these.
type StopReason string

const (
	StoppedByUser      StopReason = "StoppedByUser"
	TimeExceeded       StopReason = "TimeExceeded"
	SizeExceeded       StopReason = "SizeExceeded"
	PacketCountReached StopReason = "PacketCountReached"
	FileCountReached   StopReason = "FileCountReached"
	DiskLow            StopReason = "DiskLow"
	InterfaceGone      StopReason = "InterfaceGone"
	FileError          StopReason = "FileError"
	Interrupted        StopReason = "Interrupted"
	Shutdown           StopReason = "Shutdown"
	StartFailed        StopReason = "StartFailed"
)

// Text returns the reason as one sentence for users, "" if it is unknown.
func (r StopReason) Text() string {
	switch r {
	case StoppedByUser:
		return "A user stopped the capture."
	case TimeExceeded:
		return "The capture ran for the time it was given."
	case SizeExceeded:
		return "The file reached the size it was given."
	case PacketCountReached:
		return "The capture has the number of packets it was given."
	case FileCountReached:
		return "The capture has the number of files it was given."
	case DiskLow:
		return "The capture stopped to keep the disk from filling up."
	case InterfaceGone:
		return "The interface was removed while the capture ran."
	case FileError:
		return "The file could not be written; the packets written before are kept."
	case Interrupted:
		return "The appliance ended unexpectedly while the capture ran; the packets written before are kept."
	case Shutdown:
		return "The appliance was shut down while the capture ran."
	case StartFailed:
		return "The capture could not be started when its time had come, or the appliance had started again."
	default:
		return ""
	}
}

// State returns the state of a capture that ended for this reason.
func (r StopReason) State() State {
	if r == FileError || r == StartFailed {
		return Error
	}
	return Stopped
}
