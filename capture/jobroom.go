package capture

// The disk space that a job may take.

// checkDisk returns an error if the quota is used up, or if less than the reserve may be free
// before the next check.
func (j *Job) checkDisk() error {
	if j.config.Allowance != nil {
		if err := j.config.Allowance(); err != nil {
			return err
		}
	}
	return j.checkReserve()
}

// checkReserve returns a *DiskLowError if less than the reserve may be free before the next check.
// A file system that does not say how much is free is taken to have room.
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

// CheckReserve returns a *DiskLowError if a capture may not begin where free bytes are free.
func (s Spec) CheckReserve(free int64) error { return s.checkReserve(free, diskStride) }

// checkReserve returns a *DiskLowError if ahead bytes more would touch the reserve.
func (s Spec) checkReserve(free, ahead int64) error {
	if s.ReserveBytes > 0 && free < s.ReserveBytes+ahead {
		return &DiskLowError{max(free, 0), s.ReserveBytes}
	}
	return nil
}
