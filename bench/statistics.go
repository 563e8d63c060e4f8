package main

import (
	"fmt"
	"slices"
	"time"
)

// quantile returns the quantile q, 0 to 1, of durations by the nearest rank. There must be one.
func quantile(of []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median(of []time.Duration) time.Duration { return quantile(of, 0.5) }

// milliseconds returns a duration as the table shows it.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", millis(d))
}

// spread returns the median, and the range of the middle half of the values.
func spread(of []time.Duration) string {
	return fmt.Sprintf("%s (%.1f-%.1f)", milliseconds(median(of)), millis(quantile(of, 0.25)),
		millis(quantile(of, 0.75)))
}
