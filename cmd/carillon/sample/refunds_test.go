package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestRefundsHeedTheirProvider: no more are tried than it takes, and when it says that it
// is busy all of them wait for as long, over a crash too.
func TestRefundsHeedTheirProvider(t *testing.T) {
	type refunding struct {
		RefundID storage.ID[sample.Refund]
		JobID    storage.JobID
	}
	inWorld(t, func(w *world) {
		sent := func(p refunding) bool {
			return !call[sample.Refund](w, "refunds:get", `{"refundId":%q}`, p.RefundID).SentAt.IsZero()
		}
		first := call[refunding](w, "refunds:request", `{"userId":"ada","cents":100,"busy":60}`)
		w.pass(time.Second)
		var rest []refunding
		for range 15 {
			rest = append(rest, call[refunding](w, "refunds:request", `{"userId":"ben","cents":5}`))
		}
		w.pass(50 * time.Second)
		w.crash()
		w.pass(5 * time.Second)
		for _, p := range append(rest, first) {
			if sent(p) {
				t.Fatal("a refund was sent while the provider was busy")
			}
		}
		if job := w.job(rest[0].JobID); job.State != storage.StatePending {
			t.Errorf("a refund that waits is %s", job.State)
		}
		w.pass(4*time.Second + 500*time.Millisecond)
		done := 0
		for _, p := range rest {
			if sent(p) {
				done++
			}
		}
		if done > 10 {
			t.Errorf("%d refunds were sent within a second, want 10 at most", done)
		}
		w.pass(2 * time.Second)
		for _, p := range append(rest, first) {
			if !sent(p) {
				t.Error("a refund was not sent")
			}
		}
		w.refused("invalid_argument", "cents", "refunds:request", `{"userId":"ada","cents":0}`)
		w.refused("invalid_argument", "busy", "refunds:request", `{"userId":"ada","cents":1,"busy":3601}`)
	})
}
