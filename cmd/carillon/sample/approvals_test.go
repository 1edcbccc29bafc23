package sample_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// TestAnApprovalEndsFromOutside: hours later and over a crash, with what was said; without an answer it is
// asked for twice.
func TestAnApprovalEndsFromOutside(t *testing.T) {
	type approving struct {
		ApprovalID string
		JobID      storage.JobID
	}
	type approval struct{ Token, Answer string }
	inWorld(t, func(w *world) {
		read := func(of approving) approval {
			return call[approval](w, "approvals:get", `{"approvalId":%q}`, of.ApprovalID)
		}
		desk := call[approving](w, "approvals:request", `{"userId":"ada","what":"a desk"}`)
		boat := call[approving](w, "approvals:request", `{"userId":"ada","what":"a boat"}`)
		lamp := call[approving](w, "approvals:request", `{"userId":"ada","what":"a lamp"}`)
		w.pass(time.Second)
		w.crash()
		w.pass(7 * time.Hour)
		for of, approved := range map[approving]bool{desk: true, boat: false} {
			if ok, err := w.app.Complete(context.Background(), read(of).Token, approved); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		w.pass(time.Second)
		if got := read(desk).Answer; got != "approved" {
			t.Errorf("the desk is %q", got)
		}
		if got := read(boat).Answer; got != "refused" {
			t.Errorf("the boat is %q", got)
		}
		first := read(lamp).Token
		w.pass(2 * time.Hour)
		if job := w.job(lamp.JobID); job.Attempts != 2 || read(lamp).Token == first || first == "" {
			t.Errorf("it was asked for %d times, with token %q", job.Attempts, read(lamp).Token)
		}
		w.pass(8 * time.Hour)
		if got := read(lamp).Answer; !strings.HasPrefix(got, "not decided") {
			t.Errorf("the lamp is %q", got)
		}
		w.refused("invalid_argument", "userId", "approvals:request", `{"userId":"","what":"x"}`)
		w.refused("invalid_argument", "what", "approvals:request", `{"userId":"ada","what":""}`)
	})
}
