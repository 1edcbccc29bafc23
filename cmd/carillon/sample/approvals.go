package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Approval is a document of the table approvals: what a user wants to buy, and what was said of it.
type Approval struct {
	UserID string    `json:"userId"`
	What   string    `json:"what"`
	Token  string    `json:"token,omitempty"` // stands for the mail to the one who decides
	Answer string    `json:"answer,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// approvalTakes is how long the one who decides has for it.
const approvalTakes = 8 * time.Hour

type (
	wanted struct {
		UserID string `json:"userId"`
		What   string `json:"what"`
	}
	approvalRef struct {
		ApprovalID storage.ID[Approval] `json:"approvalId"`
	}
	approvalMail struct {
		ApprovalID storage.ID[Approval] `json:"approvalId"`
		Token      string               `json:"token"`
	}
	approving struct {
		ApprovalID storage.ID[Approval] `json:"approvalId"`
		JobID      storage.JobID        `json:"jobId"`
	}
)

var (
	approvals = storage.NewTable[Approval]("approvals")

	approvalsRequest = dispatch.Mutation[wanted, approving]("approvals:request")
	approvalsGet     = dispatch.Query[approvalRef, Approval]("approvals:get")
	approvalsAsk     = dispatch.InternalAction[approvalRef, bool]("approvals:ask",
		dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute}))
	approvalsMailed  = dispatch.InternalMutation[approvalMail, dispatch.None]("approvals:mailed")
	approvalsDecided = dispatch.InternalMutation[approvalRef, dispatch.None]("approvals:decided")
)

func handleApprovals(reg *dispatch.Registry) {
	approvalsRequest.Handle(reg, func(ctx *dispatch.MutationCtx, args wanted) (approving, error) {
		if err := checkText("userId", args.UserID); err != nil {
			return approving{}, err
		}
		if err := checkText("what", args.What); err != nil {
			return approving{}, err
		}
		id, err := approvals.Insert(ctx.DB, Approval{UserID: args.UserID, What: args.What})
		if err != nil {
			return approving{}, err
		}
		ref := approvalRef{id}
		job, err := ctx.Scheduler.RunAfter(0, approvalsAsk.With(ref), dispatch.OnDone(approvalsDecided.With(ref)))
		return approving{id, job}, err
	})

	// The job goes on outside: the answer is App.Complete with the token, in the host of the app. If
	// none has come in time it is asked for once more, and then that is the answer.
	approvalsAsk.Handle(reg, func(ctx *dispatch.ActionCtx, args approvalRef) (bool, error) {
		token, err := ctx.Pending(approvalTakes)
		if err != nil {
			return false, err
		}
		if _, err := approvalsMailed.Run(ctx, approvalMail{args.ApprovalID, token}); err != nil {
			return false, err
		}
		return false, dispatch.ErrPending
	})

	approvalsMailed.Handle(reg, func(ctx *dispatch.MutationCtx, args approvalMail) (dispatch.None, error) {
		return dispatch.None{}, approvals.Patch(ctx.DB, args.ApprovalID, func(a *Approval) error {
			a.Token = args.Token
			return nil
		})
	})

	approvalsDecided.Handle(reg, func(ctx *dispatch.MutationCtx, args approvalRef) (dispatch.None, error) {
		approved, err := dispatch.ResultOf[bool](ctx.Job.Outcome)
		answer := "refused"
		switch {
		case err != nil:
			answer = "not decided: " + dispatch.AsError(err).Message
		case approved:
			answer = "approved"
		}
		return dispatch.None{}, approvals.Patch(ctx.DB, args.ApprovalID, func(a *Approval) error {
			a.Token, a.Answer, a.At = "", answer, ctx.Now
			return nil
		})
	})

	approvalsGet.Handle(reg, func(ctx *dispatch.QueryCtx, args approvalRef) (Approval, error) {
		return approvals.Get(ctx.DB, args.ApprovalID)
	})
}
