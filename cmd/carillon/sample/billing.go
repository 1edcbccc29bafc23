package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// TrialState says whether a trial is over.
type TrialState string

// The states of a trial.
const (
	Active  TrialState = "active"
	Expired TrialState = "expired"
)

// Trial is a document of the table trials, one for each user.
type Trial struct {
	UserID    string        `json:"userId"`
	State     TrialState    `json:"state"`
	EndsAt    time.Time     `json:"endsAt"`
	JobID     storage.JobID `json:"jobId"` // of the job that ends, or has ended, it
	ExpiredAt time.Time     `json:"expiredAt,omitzero"`
}

type (
	startTrial struct {
		UserID string `json:"userId"`
		EndsAt string `json:"endsAt"` // RFC 3339
	}
	userRef struct {
		UserID string `json:"userId"`
	}
)

var (
	trials = storage.NewTable[Trial]("trials", storage.Index("by_user", "userId"))

	billingStartTrial  = dispatch.Mutation[startTrial, scheduled]("billing:startTrial")
	billingGet         = dispatch.Query[userRef, Trial]("billing:get")
	billingExpireTrial = dispatch.InternalMutation[userRef, dispatch.None]("billing:expireTrial")
)

func handleBilling(reg *dispatch.Registry) {
	// A trial that is started again ends at the new instant only: the job for the
	// old one is canceled in the same commit. An instant that has passed is
	// allowed; such a trial ends at once.
	billingStartTrial.Handle(reg, func(ctx *dispatch.MutationCtx, args startTrial) (scheduled, error) {
		if err := checkText("userId", args.UserID); err != nil {
			return scheduled{}, err
		}
		endsAt, err := time.Parse(time.RFC3339, args.EndsAt)
		if err != nil {
			return scheduled{}, dispatch.Errorf(dispatch.CodeInvalidArgument,
				"endsAt is %.64q, want an instant like 2030-01-31T12:00:00Z (RFC 3339)", args.EndsAt)
		}
		trial, known, err := trialOf(ctx.DB, args.UserID)
		if err != nil {
			return scheduled{}, err
		}
		if known {
			if _, err := ctx.Scheduler.Cancel(trial.Value.JobID); err != nil {
				return scheduled{}, err
			}
		}
		job, err := ctx.Scheduler.RunAt(endsAt, billingExpireTrial.With(userRef{args.UserID}))
		if err != nil {
			return scheduled{}, err
		}
		now := Trial{UserID: args.UserID, State: Active, EndsAt: endsAt.UTC(), JobID: job}
		if known {
			err = trials.Replace(ctx.DB, trial.ID, now)
		} else {
			_, err = trials.Insert(ctx.DB, now)
		}
		return scheduled{job}, err
	})

	billingExpireTrial.Handle(reg, func(ctx *dispatch.MutationCtx, args userRef) (dispatch.None, error) {
		trial, known, err := trialOf(ctx.DB, args.UserID)
		if err != nil || !known {
			return dispatch.None{}, err
		}
		return dispatch.None{}, trials.Patch(ctx.DB, trial.ID, func(t *Trial) error {
			t.State, t.ExpiredAt = Expired, ctx.Now
			return nil
		})
	})

	billingGet.Handle(reg, func(ctx *dispatch.QueryCtx, args userRef) (Trial, error) {
		trial, known, err := trialOf(ctx.DB, args.UserID)
		if err == nil && !known {
			err = dispatch.Errorf(dispatch.CodeNotFound, "user %.64q has had no trial", args.UserID)
		}
		return trial.Value, err
	})
}

func trialOf(db storage.Reader, user string) (storage.Doc[Trial], bool, error) {
	return trials.Query(db).By("by_user").Eq(user).First()
}
