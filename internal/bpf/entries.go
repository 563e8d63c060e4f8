package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// batch is how many entries of a map are asked for at a time.
const batch = 2048

// Entries returns what a hash map has, by its keys: one value, or one for each CPU. While programs
// write into it, an entry may be missed or be there as it was a moment ago. The layouts of K and V
// are those of the source; they have no gaps.
func Entries[K comparable, V any](s *Set, name string) (map[K][]V, error) {
	m, each := s.maps[name], 1
	if m == nil {
		return nil, fmt.Errorf("the programs have no map %s", name)
	}
	if t := m.Type(); t == ebpf.PerCPUHash || t == ebpf.LRUCPUHash {
		n, err := ebpf.PossibleCPU()
		if err != nil {
			return nil, err
		}
		each = n
	}
	entries := map[K][]V{}
	keys, values := make([]K, batch), make([]V, batch*each)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i, key := range keys[:n] {
			entries[key] = append([]V(nil), values[i*each:(i+1)*each]...)
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return entries, nil
		}
		if err != nil {
			return nil, failure("", err)
		}
	}
}
