package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Campaign is a document of the table campaigns: one mail to many, of which the rest can be
// called off.
type Campaign struct {
	Subject string `json:"subject"`
	Sent    int    `json:"sent"`
}

// mailEvery is how far the mails of a campaign are apart.
const mailEvery = 10 * time.Millisecond

// stopAtOnce is how many mails one transaction calls off, so that no other waits for long.
const stopAtOnce = 100

type (
	startCampaign struct {
		Subject string `json:"subject"`
		To      int    `json:"to"` // how many
	}
	campaignRef struct {
		CampaignID storage.ID[Campaign] `json:"campaignId"`
	}
	calledOff struct {
		Canceled int `json:"canceled"`
	}
)

var (
	campaigns = storage.NewTable[Campaign]("campaigns")

	campaignStart    = dispatch.Mutation[startCampaign, storage.ID[Campaign]]("campaign:start")
	campaignStop     = dispatch.Action[campaignRef, calledOff]("campaign:stop")
	campaignGet      = dispatch.Query[campaignRef, Campaign]("campaign:get")
	campaignSend     = dispatch.InternalMutation[campaignRef, dispatch.None]("campaign:send")
	campaignStopSome = dispatch.InternalMutation[campaignRef, calledOff]("campaign:stopSome")
)

func handleCampaigns(reg *dispatch.Registry) {
	// All mails are scheduled in the commit of the campaign, and bear a tag by which they
	// are found again.
	campaignStart.Handle(reg, func(ctx *dispatch.MutationCtx, args startCampaign) (storage.ID[Campaign], error) {
		if err := checkText("subject", args.Subject); err != nil {
			return "", err
		}
		if args.To < 1 || args.To > dispatch.MaxBatch {
			return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "to is %d, want 1 to %d", args.To, dispatch.MaxBatch)
		}
		id, err := campaigns.Insert(ctx.DB, Campaign{Subject: args.Subject})
		if err != nil {
			return "", err
		}
		mails := make([]dispatch.Scheduled, args.To)
		for i := range mails {
			mails[i] = dispatch.After(time.Duration(i)*mailEvery, campaignSend.With(campaignRef{id}), dispatch.Tags(string(id)))
		}
		_, err = ctx.Scheduler.RunMany(mails)
		return id, err
	})

	campaignSend.Handle(reg, func(ctx *dispatch.MutationCtx, args campaignRef) (dispatch.None, error) {
		return dispatch.None{}, campaigns.Patch(ctx.DB, args.CampaignID, func(c *Campaign) error {
			c.Sent++ // a real app has an action send it
			return nil
		})
	})

	// A step at a time, between which due jobs and other calls have their turn. What is cut
	// off has called the first ones off, and goes on when it is called again. From outside
	// of functions HostScheduler.CancelMany does the same, and so do
	// operations over HTTP and carillon jobs cancel.
	campaignStop.Handle(reg, func(ctx *dispatch.ActionCtx, args campaignRef) (calledOff, error) {
		var all calledOff
		for {
			some, err := campaignStopSome.Run(ctx, args)
			if all.Canceled += some.Canceled; err != nil || some.Canceled == 0 {
				return all, err
			}
		}
	})

	campaignStopSome.Handle(reg, func(ctx *dispatch.MutationCtx, args campaignRef) (calledOff, error) {
		page, err := ctx.Scheduler.List(storage.JobFilter{
			Tags: []string{string(args.CampaignID)}, States: []storage.State{storage.StatePending}, Limit: stopAtOnce,
		})
		if err != nil {
			return calledOff{}, err
		}
		var some calledOff
		for _, job := range page.Jobs {
			answer, err := ctx.Scheduler.Cancel(job.ID)
			if err != nil {
				return calledOff{}, err
			}
			if answer.Canceled {
				some.Canceled++
			}
		}
		return some, nil
	})

	campaignGet.Handle(reg, func(ctx *dispatch.QueryCtx, args campaignRef) (Campaign, error) {
		return campaigns.Get(ctx.DB, args.CampaignID)
	})
}
