package timing_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors/internal/timing"
)

// W3, G14: only the message of the latest setting counts, and only once.
func TestG14_OnlyTheLatestSettingFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a timing.Alarm
		var sent []uint64
		fire := func(gen uint64) { sent = append(sent, gen) }
		a.Set(time.Second, fire)
		time.Sleep(time.Second) // the first has sent its message, which is not read yet
		synctest.Wait()
		a.Set(time.Second, fire)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(sent) != 2 || !a.Armed() {
			t.Fatalf("%d messages, armed %v", len(sent), a.Armed())
		}
		fired := []bool{a.Fired(sent[0]), a.Fired(sent[1]), a.Fired(sent[1])}
		if want := []bool{false, true, false}; !slices.Equal(fired, want) {
			t.Errorf("fired %v, want %v", fired, want)
		}
		if a.Armed() {
			t.Error("armed after it has fired")
		}
		a.Set(time.Second, fire)
		a.Clear()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(sent) != 2 {
			t.Error("it fires though it was cleared")
		}
	})
}
