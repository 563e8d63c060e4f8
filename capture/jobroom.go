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
	reserve := j.config.Spec.ReserveBytes
	if reserve == 0 {
		return nil
	}
	if free, err := j.file.Free(); err == nil && free < reserve+diskStep {
		return &DiskLowError{max(free, 0), reserve}
	}
	return nil
}
