package process

import "net/netip"

// Receives reports whether the filter takes an address for one that this machine receives at.
func (f *Filter) Receives(a netip.Addr) bool {
	var value uint8
	return f.set.Map("addresses").Lookup(prefixOf(netip.PrefixFrom(a, a.BitLen())), &value) == nil
}

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
