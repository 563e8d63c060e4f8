package process

// Fill leaves no room for another process that is followed.
func (f *Filter) Fill() error {
	members := f.set.Map("members")
	for n := range members.MaxEntries() {
		if err := members.Put(1<<24+n, uint8(1)); err != nil { // numbers that no process has
			return err
		}
	}
	return nil
}
