package sample_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

// TestAdmit admits new apps at a pace, and those that exist always.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admit := sample.Admit()
		admitted := func() (n int) {
			for i := range 1000 {
				err := admit(t.Context(), storage.AppID(fmt.Sprint(i)), false)
				if err != nil {
					if e := dispatch.AsError(err); e.Code != dispatch.CodeResourceExhausted || e.RetryAfter != time.Second {
						t.Errorf("got %v", err)
					}
					break
				}
				n++
			}
			return n
		}
		for _, want := range []int{200, 0, 10, 200} {
			if n := admitted(); n != want {
				t.Errorf("%d new apps were admitted, want %d", n, want)
			}
			if err := admit(t.Context(), "old", true); err != nil {
				t.Errorf("one that exists: %v", err)
			}
			switch want {
			case 0:
				time.Sleep(time.Second)
			case 10:
				time.Sleep(time.Hour)
			}
		}
	})
}
