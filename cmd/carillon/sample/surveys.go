package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Survey is a document of the table surveys: a question to many, of which all are asked at once.
type Survey struct {
	Question string    `json:"question"`
	Asked    int       `json:"asked"`
	Answered int       `json:"answered"` // of those; 0 until all have answered, or will not
	Silent   int       `json:"silent"`
	ClosedAt time.Time `json:"closedAt"` // zero until then
}

// maxAsked is how many a survey asks at most: all of them in one transaction.
const maxAsked = 1000

type (
	startSurvey struct {
		Question string `json:"question"`
		To       int    `json:"to"` // how many
	}
	startedSurvey struct {
		SurveyID storage.ID[Survey] `json:"surveyId"`
		GroupID  storage.GroupID    `json:"groupId"`
	}
	surveyRef struct {
		SurveyID storage.ID[Survey] `json:"surveyId"`
	}
	askOne struct {
		Who int `json:"who"`
	}
)

var (
	surveys = storage.NewTable[Survey]("surveys")

	surveysStart = dispatch.Mutation[startSurvey, startedSurvey]("surveys:start")
	surveysGet   = dispatch.Query[surveyRef, Survey]("surveys:get")
	surveysAsk   = dispatch.InternalAction[askOne, string]("surveys:ask", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
	surveysClose = dispatch.InternalMutation[surveyRef, dispatch.None]("surveys:close")
)

func handleSurveys(reg *dispatch.Registry) {
	// A job for each who is asked, and one for the end of them all: they are stored together with
	// the survey, or nothing is.
	surveysStart.Handle(reg, func(ctx *dispatch.MutationCtx, args startSurvey) (startedSurvey, error) {
		if err := checkText("question", args.Question); err != nil {
			return startedSurvey{}, err
		}
		if args.To < 0 || args.To > maxAsked {
			return startedSurvey{}, dispatch.Errorf(dispatch.CodeInvalidArgument, "to is %d, want 0 to %d", args.To, maxAsked)
		}
		id, err := surveys.Insert(ctx.DB, Survey{Question: args.Question, Asked: args.To})
		if err != nil {
			return startedSurvey{}, err
		}
		group, err := ctx.Scheduler.NewGroup(surveysClose.With(surveyRef{id}))
		if err != nil {
			return startedSurvey{}, err
		}
		calls := make([]dispatch.Scheduled, args.To)
		for i := range calls {
			calls[i] = dispatch.After(0, surveysAsk.With(askOne{i}), dispatch.InGroup(group))
		}
		if _, err := ctx.Scheduler.RunMany(calls); err != nil {
			return startedSurvey{}, err
		}
		return startedSurvey{id, group}, ctx.Scheduler.Seal(group)
	})

	surveysAsk.Handle(reg, func(_ *dispatch.ActionCtx, args askOne) (string, error) {
		if args.Who%10 == 9 { // a real app sends a message here, and waits for the answer
			return "", dispatch.Errorf(dispatch.CodeUnavailable, "%d does not answer", args.Who)
		}
		return "yes", nil
	})

	// Runs once, when each has answered or will not: nothing has counted them on the way.
	surveysClose.Handle(reg, func(ctx *dispatch.MutationCtx, args surveyRef) (dispatch.None, error) {
		o := ctx.Job.GroupOutcome
		return none, surveys.Patch(ctx.DB, args.SurveyID, func(s *Survey) error {
			s.Answered, s.Silent, s.ClosedAt = o.Success, o.Total()-o.Success, ctx.Now
			return nil
		})
	})

	surveysGet.Handle(reg, func(ctx *dispatch.QueryCtx, args surveyRef) (Survey, error) {
		return surveys.Get(ctx.DB, args.SurveyID)
	})
}
