package capture

// The room on the disk that a job may take.

// checkDisk looks whether the reserve will still be free at the next look, and the
// quota not used up.
func (j *Job) checkDisk() error {
	if j.config.Allowance != nil {
		if err := j.config.Allowance(); err != nil {
			return err
		}
	}
	return j.checkReserve()
}

// checkReserve looks at the free disk. A file system that does not tell is taken to have
// room.
func (j *Job) checkReserve() error {
	if j.config.Spec.ReserveBytes == 0 {
		return nil
	}
	free, err := j.file.Free(j.stride)
	if err != nil {
		return nil
	}
	return j.config.Spec.checkReserve(free, j.stride)
}

// CheckReserve tells whether a capture may begin where so many bytes are free. The error is
// a *DiskLowError.
func (s Spec) CheckReserve(free int64) error { return s.checkReserve(free, diskStride) }

// checkReserve tells whether so many bytes more may be written.
func (s Spec) checkReserve(free, ahead int64) error {
	if s.ReserveBytes > 0 && free < s.ReserveBytes+ahead {
		return &DiskLowError{max(free, 0), s.ReserveBytes}
	}
	return nil
}
