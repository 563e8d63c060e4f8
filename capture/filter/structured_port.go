package filter

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// readPorts reads a field of ports, without those that are excluded. It returns none
// for an empty field.
func readPorts(name, value string) (portSet, *FieldError) {
	var wanted, excluded portSet
	onlyExcluded := true
	err := eachItem(name, value, func(i item) *FieldError {
		if i.excluded {
			return excluded.add(i)
		}
		onlyExcluded = false
		return wanted.add(i)
	})
	if err != nil || value == "" {
		return nil, err
	}
	if onlyExcluded {
		wanted = portSet{{0, maxPort}}
	}
	left := wanted.without(excluded)
	if len(left) == 0 {
		return nil, &FieldError{Field: name, Value: value, Message: "no port is left"}
	}
	return left, nil
}

// clause writes the ports that are wanted, so that no packet without ports matches.
func (s portSet) clause(direction string) clause {
	single, ranges := s.words()
	var alternatives []clause
	if len(single) > 0 {
		alternatives = append(alternatives, written(direction, "port", oneOrMore(single)))
	}
	if len(ranges) > 0 {
		alternatives = append(alternatives, written(direction, "portrange", oneOrMore(ranges)))
	}
	return anyOf(alternatives...)
}

// A portSet is a set of ports, as ranges in any order.
type portSet []portRange

// A portRange is the ports from low to high.
type portRange struct{ low, high int }

const maxPort = 1<<16 - 1

// add reads a port or a range of ports.
func (s *portSet) add(i item) *FieldError {
	low, errLow := strconv.ParseUint(i.low, 10, 16)
	high, errHigh := strconv.ParseUint(i.high, 10, 16)
	switch {
	case errLow != nil || errHigh != nil:
		return &FieldError{Message: "a port is a number from 0 to 65535, or a range of them"}
	case low > high:
		return &FieldError{Message: "the range ends before it begins", Replacement: i.high + "-" + i.low}
	}
	*s = append(*s, portRange{int(low), int(high)})
	return nil
}

// joined returns the set in its order, with ranges in one that overlap or follow each other.
func (s portSet) joined() (list portSet) {
	for _, r := range slices.SortedFunc(slices.Values(s), func(a, b portRange) int { return cmp.Compare(a.low, b.low) }) {
		if last := len(list) - 1; last >= 0 && r.low <= list[last].high+1 {
			list[last].high = max(list[last].high, r.high)
			continue
		}
		list = append(list, r)
	}
	return list
}

// without returns the ports that the other set has not, joined.
func (s portSet) without(other portSet) (left portSet) {
	other = other.joined()
	for _, r := range s.joined() {
		for _, taken := range other {
			if taken.high < r.low || taken.low > r.high {
				continue
			}
			if r.low < taken.low {
				left = append(left, portRange{r.low, taken.low - 1})
			}
			r.low = taken.high + 1 // beyond r.high if nothing is left
		}
		if r.low <= r.high {
			left = append(left, r)
		}
	}
	return left
}

// words returns the ports as the language writes them: alone, and in ranges.
func (s portSet) words() (single, ranges []string) {
	for _, r := range s {
		if r.low == r.high {
			single = append(single, strconv.Itoa(r.low))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", r.low, r.high))
		}
	}
	return single, ranges
}
