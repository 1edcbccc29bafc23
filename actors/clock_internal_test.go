package actors

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestG11_AGlanceIsAReading: one reading of the system's clock tells what two tell, one after
// the other, and a clock of a test's is what is read if there is one.
func TestG11_AGlanceIsAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stepped := time.Duration(0)
		for _, c := range []*clock{
			{base: time.Now(), read: time.Now, system: true},
			{base: time.Now(), read: func() time.Time { return time.Now().Add(stepped) }},
		} {
			for _, d := range []time.Duration{0, 1, time.Millisecond, 400 * 24 * time.Hour} {
				stepped += d
				time.Sleep(d)
				wall, elapsed := c.glance()
				if w, e := c.both(); !w.Equal(wall) || e != elapsed {
					t.Errorf("a glance is %v, %v, two readings are %v, %v", wall, elapsed, w, e)
				}
				if wall != wall.Round(0) {
					t.Errorf("%v has a monotonic reading", wall)
				}
			}
		}
	})
}
