package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Presence is a document of the table presence: a user who was here lately, one
// for each.
type Presence struct {
	UserID string    `json:"userId"`
	SeenAt time.Time `json:"seenAt"`
}

const (
	// absentAfter is how long after their last ping users count as gone.
	absentAfter = 15 * time.Minute
	// sweepBatch bounds what one run drops; see cleanupBatch.
	sweepBatch = 500
	// maxPresent bounds the rows of presence:list: those seen last.
	maxPresent = 1000
)

type pingArgs struct {
	UserID string `json:"userId"`
}

var (
	presence = storage.NewTable[Presence]("presence",
		storage.Index("by_user", "userId"),
		storage.Index("by_seen", "seenAt"),
	)

	presencePing  = dispatch.Mutation[pingArgs, dispatch.None]("presence:ping")
	presenceList  = dispatch.Query[dispatch.None, []Presence]("presence:list")
	presenceSweep = dispatch.InternalMutation[dispatch.None, dispatch.None]("presence:sweep")
)

func handlePresence(reg *dispatch.Registry) {
	presencePing.Handle(reg, func(ctx *dispatch.MutationCtx, args pingArgs) (dispatch.None, error) {
		if err := checkText("userId", args.UserID); err != nil {
			return none, err
		}
		now := Presence{UserID: args.UserID, SeenAt: ctx.Now.UTC()}
		user, known, err := presence.Query(ctx.DB).By("by_user").Eq(args.UserID).First()
		switch {
		case err != nil:
			return none, err
		case known:
			return none, presence.Replace(ctx.DB, user.ID, now)
		}
		_, err = presence.Insert(ctx.DB, now)
		return none, err
	})

	presenceList.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]Presence, error) {
		return values(presence.Query(ctx.DB).By("by_seen").Desc().Take(maxPresent))
	})

	// Who is gone is a matter of now: a sweep that is late must not drop those who
	// have come back since its slot, nor keep those who have left.
	presenceSweep.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		gone, more, err := presence.Query(ctx.DB).By("by_seen").To(ctx.Now.Add(-absentAfter)).Take(sweepBatch).Page()
		if err != nil {
			return none, err
		}
		for _, doc := range gone {
			if err := presence.Delete(ctx.DB, doc.ID); err != nil {
				return none, err
			}
		}
		if more != "" {
			_, err = ctx.Scheduler.RunAfter(0, presenceSweep.With(none))
		}
		return none, err
	})
}
