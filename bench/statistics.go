package main

import (
	"fmt"
	"slices"
	"time"
)

// quantile of durations, by the nearest rank.
func quantile(of []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median(of []time.Duration) time.Duration { return quantile(of, 0.5) }

// milliseconds is a duration as the table has it.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// spread is the median with the middle half of the values.
func spread(of []time.Duration) string {
	return fmt.Sprintf("%s (%.1f-%.1f)", milliseconds(median(of)), ms(quantile(of, 0.25)), ms(quantile(of, 0.75)))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
