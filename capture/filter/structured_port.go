package filter

import (
	"fmt"
	"strconv"
)

// portClause writes the ports that are left when the excluded ones are taken
// out, so that no packet without ports matches.
func portClause(name, direction, value string) (clause, *FieldError) {
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
		return clause{}, err
	}
	for port := range wanted {
		wanted[port] = (wanted[port] || onlyExcluded) && !excluded[port]
	}
	single, ranges := wanted.words()
	if len(single)+len(ranges) == 0 {
		return clause{}, &FieldError{Field: name, Value: value, Message: "no port is left"}
	}
	var alternatives []clause
	if len(single) > 0 {
		alternatives = append(alternatives, written(direction, "port", oneOrMore(single)))
	}
	if len(ranges) > 0 {
		alternatives = append(alternatives, written(direction, "portrange", oneOrMore(ranges)))
	}
	return anyOf(alternatives...), nil
}

type portSet [1 << 16]bool

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
	for port := low; port <= high; port++ {
		s[port] = true
	}
	return nil
}

// words returns the ports as the language writes them: alone, and in ranges.
func (s *portSet) words() (single, ranges []string) {
	for low := 0; low < len(s); low++ {
		if !s[low] {
			continue
		}
		high := low
		for high+1 < len(s) && s[high+1] {
			high++
		}
		if low == high {
			single = append(single, strconv.Itoa(low))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", low, high))
		}
		low = high
	}
	return single, ranges
}
