package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestACampaignIsCalledOff: what was sent stays sent, the rest is not, and another campaign
// goes on; a crash before leaves as much to call off.
func TestACampaignIsCalledOff(t *testing.T) {
	inWorld(t, func(w *world) {
		start := func() storage.ID[sample.Campaign] {
			return call[storage.ID[sample.Campaign]](w, "campaign:start", `{"subject":"spring","to":1000}`)
		}
		sent := func(id storage.ID[sample.Campaign]) int {
			return call[sample.Campaign](w, "campaign:get", `{"campaignId":%q}`, id).Sent
		}
		stopped, other := start(), start()
		w.pass(3 * time.Second)
		w.crash()
		before := sent(stopped)
		if off := call[struct{ Canceled int }](w, "campaign:stop", `{"campaignId":%q}`, stopped); off.Canceled != 1000-before || before == 0 {
			t.Errorf("%d were called off and %d sent, want 1000 in all", off.Canceled, before)
		}
		if off := call[struct{ Canceled int }](w, "campaign:stop", `{"campaignId":%q}`, stopped); off.Canceled != 0 {
			t.Errorf("%d were called off again", off.Canceled)
		}
		w.pass(time.Minute)
		if n := sent(stopped); n != before {
			t.Errorf("%d were sent, %d of them after they were called off", n, n-before)
		}
		if n := sent(other); n != 1000 {
			t.Errorf("of the other campaign %d were sent, want 1000", n)
		}
		w.refused("invalid_argument", "to", "campaign:start", `{"subject":"x","to":10001}`)
		w.refused("invalid_argument", "subject", "campaign:start", `{"subject":"","to":1}`)
	})
}
