package sample_test

import (
	"testing"
	"time"

	"carillon/storage"
)

// TestAPasswordIsMailedInTimeOrNotAtAll: while the mail server is down it is tried again,
// but not when the password has ended.
func TestAPasswordIsMailedInTimeOrNotAtAll(t *testing.T) {
	type requested struct {
		PasswordID string
		JobID      storage.JobID
	}
	inWorld(t, func(w *world) {
		soon := call[requested](w, "otp:request", `{"userId":"ada","outage":60}`)
		late := call[requested](w, "otp:request", `{"userId":"ben","outage":3600}`)
		if call[bool](w, "otp:redeem", `{"passwordId":%q,"digits":"no"}`, soon.PasswordID) {
			t.Error("a wrong password is good")
		}
		w.pass(4 * time.Minute)
		w.crash()
		if job := w.job(soon.JobID); job.State != storage.StateSuccess {
			t.Errorf("after a minute the mail is %s, want success", job.State)
		}
		w.pass(time.Minute + time.Second)
		if job := w.job(late.JobID); job.State != storage.StateExpired {
			t.Errorf("when the password has ended the mail is %s, want expired", job.State)
		}
		w.pass(2 * time.Hour)
		w.refused("invalid_argument", "userId", "otp:request", `{"userId":""}`)
		w.refused("invalid_argument", "outage", "otp:request", `{"userId":"ada","outage":86401}`)
	})
}
