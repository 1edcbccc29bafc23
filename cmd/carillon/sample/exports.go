package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Export is a document of the table exports: all that there is of a user, in one file.
type Export struct {
	UserID  string    `json:"userId"`
	BeganAt time.Time `json:"beganAt,omitzero"`
	EndedAt time.Time `json:"endedAt,omitzero"`
}

// oneOfAUser has one export of a user run at a time. Those of others do not wait for it,
// and a user who has none costs nothing.
var oneOfAUser = dispatch.NewPool("exports", 1)

// exportTakes is how long an export takes here.
const exportTakes = 2 * time.Second

type (
	exportRef struct {
		ExportID storage.ID[Export] `json:"exportId"`
	}
	exportStep struct {
		ExportID storage.ID[Export] `json:"exportId"`
		BeganAt  time.Time          `json:"beganAt"`
	}
)

var (
	exports = storage.NewTable[Export]("exports")

	exportsRequest = dispatch.Mutation[userRef, storage.ID[Export]]("exports:request")
	exportsGet     = dispatch.Query[exportRef, Export]("exports:get")
	exportsWrite   = dispatch.InternalAction[exportRef, dispatch.None]("exports:write")
	exportsDone    = dispatch.InternalMutation[exportStep, dispatch.None]("exports:done")
)

func handleExports(reg *dispatch.Registry) {
	exportsRequest.Handle(reg, func(ctx *dispatch.MutationCtx, args userRef) (storage.ID[Export], error) {
		if err := checkText("userId", args.UserID); err != nil {
			return "", err
		}
		id, err := exports.Insert(ctx.DB, Export{UserID: args.UserID})
		if err != nil {
			return "", err
		}
		_, err = ctx.Scheduler.RunAfter(0, exportsWrite.With(exportRef{id}), dispatch.InPool(oneOfAUser, args.UserID))
		return id, err
	})

	exportsWrite.Handle(reg, func(ctx *dispatch.ActionCtx, args exportRef) (dispatch.None, error) {
		began := ctx.Now
		select { // a real app collects and uploads the user's data here
		case <-time.After(exportTakes):
		case <-ctx.Done():
			return dispatch.None{}, ctx.Err()
		}
		return exportsDone.Run(ctx, exportStep{args.ExportID, began})
	})

	exportsDone.Handle(reg, func(ctx *dispatch.MutationCtx, args exportStep) (dispatch.None, error) {
		return dispatch.None{}, exports.Patch(ctx.DB, args.ExportID, func(e *Export) error {
			e.BeganAt, e.EndedAt = args.BeganAt, ctx.Now
			return nil
		})
	})

	exportsGet.Handle(reg, func(ctx *dispatch.QueryCtx, args exportRef) (Export, error) {
		return exports.Get(ctx.DB, args.ExportID)
	})
}
