package storage_test

import (
	"testing"

	"carillon/storage"
)

// TestQuantilesLieInTheirBucket: within a bucket values are taken to lie evenly, and those beyond the last bound at it.
func TestQuantilesLieInTheirBucket(t *testing.T) {
	h := storage.Histogram{Unit: 10}
	is := func(permille int, want int64) {
		t.Helper()
		if got := h.Quantile(permille); got != want {
			t.Errorf("%d permille of %v: %d, want %d", permille, h.Counts, got, want)
		}
	}
	is(500, 0)
	h.Counts[0] = 10
	is(500, 5)
	is(1000, 10)
	h.Counts[2] = 10 // above 20, up to 40
	is(500, 10)
	is(750, 30)
	is(990, 39)
	before := h
	h.Counts[20], h.Sum = 980, 7
	is(500, h.Bound(19))
	if d := h.Since(&before); d.Total() != 980 || d.Sum != 7 || d.Unit != 10 || d.Counts[0] != 0 {
		t.Errorf("since: %v", d)
	}
}
