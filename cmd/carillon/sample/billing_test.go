package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

func (w *world) trial(user string) sample.Trial {
	w.t.Helper()
	return call[sample.Trial](w, "billing:get", `{"userId":%q}`, user)
}

func (w *world) startTrial(user string, endsAt time.Time) storage.JobID {
	w.t.Helper()
	return call[jobID](w, "billing:startTrial", `{"userId":%q,"endsAt":%q}`, user, endsAt.Format(time.RFC3339)).JobID
}

func TestTrialExpires(t *testing.T) {
	inWorld(t, func(w *world) {
		end := time.Now().Truncate(time.Second).Add(2 * time.Hour)
		job := w.startTrial("ann", end)
		w.startTrial("bob", end.Add(time.Hour))
		w.pass(time.Until(end) - time.Millisecond)
		if got := w.trial("ann"); got.State != sample.Active || !got.EndsAt.Equal(end) || got.JobID != job {
			t.Errorf("before: %+v", got)
		}
		w.pass(time.Second)
		if got := w.trial("ann"); got.State != sample.Expired || got.ExpiredAt.Before(end) {
			t.Errorf("after: %+v", got)
		}
		if got := w.trial("bob"); got.State != sample.Active {
			t.Errorf("the other user's: %+v", got)
		}
	})
}

// TestTrialMoves starts a trial again before it ends: only the new end counts.
func TestTrialMoves(t *testing.T) {
	inWorld(t, func(w *world) {
		end := time.Now().Truncate(time.Second).Add(time.Hour)
		old := w.startTrial("ann", end)
		w.startTrial("ann", end.Add(time.Hour))
		if got := w.job(old); got.State != storage.StateCanceled {
			t.Errorf("the old job: %+v", got)
		}
		w.pass(90 * time.Minute)
		if got := w.trial("ann"); got.State != sample.Active {
			t.Errorf("between the two ends: %+v", got)
		}
		w.pass(time.Hour)
		if got := w.trial("ann"); got.State != sample.Expired {
			t.Errorf("after the new end: %+v", got)
		}
		w.startTrial("ann", time.Now().Add(time.Hour))
		if got := w.trial("ann"); got.State != sample.Active || !got.ExpiredAt.IsZero() {
			t.Errorf("started once more: %+v", got)
		}
	})
}

func TestTrialThatIsOverAlready(t *testing.T) {
	inWorld(t, func(w *world) {
		w.startTrial("ann", time.Now().Add(-time.Hour))
		w.pass(time.Second)
		if got := w.trial("ann"); got.State != sample.Expired {
			t.Errorf("got %+v", got)
		}
	})
}

func TestBillingRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		invalid := dispatch.CodeInvalidArgument
		w.refused(invalid, "userId is empty", "billing:startTrial", `{"endsAt":"2030-01-31T12:00:00Z"}`)
		for _, bad := range []string{"", "tomorrow", "2030-01-31", "2030-02-30T12:00:00Z", "2030-01-31T12:00:00"} {
			w.refused(invalid, "endsAt is", "billing:startTrial", `{"userId":"ann","endsAt":%q}`, bad)
		}
		w.refused(invalid, "not after the beginning of 1970", "billing:startTrial", `{"userId":"ann","endsAt":"1969-12-31T00:00:00Z"}`)
		w.refused(invalid, `field "endsAt": want string`, "billing:startTrial", `{"userId":"ann","endsAt":1}`)
		w.refused(dispatch.CodeNotFound, `user "ann" has had no trial`, "billing:get", `{"userId":"ann"}`)
		w.refused(dispatch.CodeNotFound, "no function", "billing:expireTrial", `{"userId":"ann"}`)
	})
}
