package storage

import "testing"

// TestSpans: of numbers that are next to each other the first and the last are written.
func TestSpans(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "4": {4}, "0-2": {0, 1, 2}, "0,2-3,9": {0, 2, 3, 9}} {
		if got := spans(numbers); got != want {
			t.Errorf("%v is %q, want %q", numbers, got, want)
		}
	}
}
