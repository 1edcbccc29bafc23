package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Refund is a document of the table refunds: money that goes back to a user.
type Refund struct {
	UserID string    `json:"userId"`
	Cents  int       `json:"cents"`
	SentAt time.Time `json:"sentAt,omitzero"`
	Busy   time.Time `json:"busy,omitzero"` // until when the provider answers 429, for a demonstration
}

// provider is what the payment provider lets an account do: five calls at once, and ten in
// any second. Who asks for more gets a 429, and is told when to come again.
var provider = dispatch.NewPool("refunds", 5, dispatch.Rate(10, time.Second))

type (
	refund struct {
		UserID string `json:"userId"`
		Cents  int    `json:"cents"`
		Busy   int    `json:"busy,omitempty"` // for how many seconds the provider is
	}
	refunding struct {
		RefundID storage.ID[Refund] `json:"refundId"`
		JobID    storage.JobID      `json:"jobId"`
	}
	refundRef struct {
		RefundID storage.ID[Refund] `json:"refundId"`
	}
)

var (
	refunds = storage.NewTable[Refund]("refunds")

	refundsRequest = dispatch.Mutation[refund, refunding]("refunds:request")
	refundsGet     = dispatch.Query[refundRef, Refund]("refunds:get")
	refundsSend    = dispatch.InternalAction[refundRef, dispatch.None]("refunds:send", dispatch.InPool(provider))
	refundsSent    = dispatch.InternalMutation[refundRef, dispatch.None]("refunds:sent")
)

func handleRefunds(reg *dispatch.Registry) {
	refundsRequest.Handle(reg, func(ctx *dispatch.MutationCtx, args refund) (refunding, error) {
		if err := checkText("userId", args.UserID); err != nil {
			return refunding{}, err
		}
		if err := checkCount("cents", args.Cents, 1, 1_000_000); err != nil {
			return refunding{}, err
		}
		if err := checkCount("busy", args.Busy, 0, 3_600); err != nil {
			return refunding{}, err
		}
		id, err := refunds.Insert(ctx.DB, Refund{
			UserID: args.UserID, Cents: args.Cents, Busy: ctx.Now.Add(time.Duration(args.Busy) * time.Second),
		})
		if err != nil {
			return refunding{}, err
		}
		job, err := ctx.Scheduler.RunAfter(0, refundsSend.With(refundRef{id}))
		return refunding{id, job}, err
	})

	// A 429 is not this refund's fault: it spends no retry, and the others wait with it
	// rather than run into the same answer.
	refundsSend.Handle(reg, func(ctx *dispatch.ActionCtx, args refundRef) (dispatch.None, error) {
		p, err := refundsGet.Run(ctx, args)
		if err != nil || !p.SentAt.IsZero() {
			return dispatch.None{}, err
		}
		// A real app calls its provider here, under the job's idempotency key.
		if wait := p.Busy.Sub(ctx.Now); wait > 0 {
			busy := dispatch.Errorf(dispatch.CodeUnavailable, "429, come again in %v", wait)
			return dispatch.None{}, dispatch.RetryAfter(wait, dispatch.WholePool(), dispatch.Because(busy))
		}
		return refundsSent.Run(ctx, args)
	})

	refundsSent.Handle(reg, func(ctx *dispatch.MutationCtx, args refundRef) (dispatch.None, error) {
		return dispatch.None{}, refunds.Patch(ctx.DB, args.RefundID, func(p *Refund) error {
			p.SentAt = ctx.Now
			return nil
		})
	})

	refundsGet.Handle(reg, func(ctx *dispatch.QueryCtx, args refundRef) (Refund, error) {
		return refunds.Get(ctx.DB, args.RefundID)
	})
}
