package histogram

import "testing"

// TestBuckets: a value that is a bound is counted for it, and one more for the next.
func TestBuckets(t *testing.T) {
	for _, tt := range []struct {
		unit, value int64
		want        int
	}{
		{1, -5, 0},
		{1, 0, 0},
		{1, 1, 0},
		{1, 2, 1},
		{1, 3, 2},
		{1, 4, 2},
		{1, 5, 3},
		{1000, 0, 0},
		{1000, 1, 0},
		{1000, 1000, 0},
		{1000, 1001, 1},
		{1000, 2000, 1},
		{1000, 2001, 2},
		{1000, 1000 << 19, 19},
		{1000, 1000<<19 + 1, 20},
		{1, 1 << 62, 20},
		{0, 2, 1},
	} {
		h := Histogram{Unit: tt.unit}
		h.Observe(tt.value)
		c := h.Counts()
		if c.Counts[tt.want] != 1 || c.Total() != 1 || c.Sum != max(tt.value, 0) {
			t.Errorf("%d in units of %d: %v, want it at %d", tt.value, tt.unit, c, tt.want)
		}
		if tt.want < Bounds && (max(tt.value, 0) > c.Bound(tt.want) || tt.want > 0 && tt.value <= c.Bound(tt.want-1)) {
			t.Errorf("%d in units of %d is not within %d", tt.value, tt.unit, c.Bound(tt.want))
		}
		var sum Counts
		sum.Add(&c)
		sum.Add(&c)
		if sum.Total() != 2 || sum.Unit != c.Unit || sum.Sum != 2*c.Sum {
			t.Errorf("twice: %v", sum)
		}
	}
	var h Histogram
	if n := testing.AllocsPerRun(10, func() { h.Observe(7) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}
