package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Archive is a document of the table archives: a long export, written page by page.
type Archive struct {
	Pages   int       `json:"pages"`
	Written []int     `json:"written"` // the pages that are there, in the order they were written
	Repeats int       `json:"repeats"` // how often a page came that was there already
	EndedAt time.Time `json:"endedAt,omitzero"`
}

// pageTakes is how long a page takes here, and maxPages how many an archive has at most.
const (
	pageTakes = 500 * time.Millisecond
	maxPages  = 1000
)

type (
	newArchive struct {
		Pages int `json:"pages"`
	}
	addedArchive struct {
		ArchiveID storage.ID[Archive] `json:"archiveId"`
		JobID     storage.JobID       `json:"jobId"`
	}
	archiveRef struct {
		ArchiveID storage.ID[Archive] `json:"archiveId"`
	}
	archivePage struct {
		ArchiveID storage.ID[Archive] `json:"archiveId"`
		Page      int                 `json:"page"`
	}
	// archived is the checkpoint of archives:write.
	archived struct {
		Pages int `json:"pages"`
	}
)

var (
	archives = storage.NewTable[Archive]("archives")

	archivesRequest = dispatch.Mutation[newArchive, addedArchive]("archives:request")
	archivesGet     = dispatch.Query[archiveRef, Archive]("archives:get")
	archivesWrite   = dispatch.InternalAction[archiveRef, dispatch.None]("archives:write", dispatch.Deadline(time.Hour))
	archivesPage    = dispatch.InternalMutation[archivePage, dispatch.None]("archives:page")
)

func handleArchives(reg *dispatch.Registry) {
	archivesRequest.Handle(reg, func(ctx *dispatch.MutationCtx, args newArchive) (addedArchive, error) {
		if err := checkCount("pages", args.Pages, 1, maxPages); err != nil {
			return addedArchive{}, err
		}
		id, err := archives.Insert(ctx.DB, Archive{Pages: args.Pages})
		if err != nil {
			return addedArchive{}, err
		}
		job, err := ctx.Scheduler.RunAfter(0, archivesWrite.With(archiveRef{id}))
		return addedArchive{id, job}, err
	})

	// An attempt goes on where the one before has saved that it was. A page that was written and
	// not saved comes twice, so a page is written under its number.
	archivesWrite.Handle(reg, func(ctx *dispatch.ActionCtx, args archiveRef) (dispatch.None, error) {
		a, err := archivesGet.Run(ctx, args)
		if err != nil {
			return none, err
		}
		at, _, err := dispatch.CheckpointOf[archived](ctx)
		if err != nil {
			return none, err
		}
		for ; at.Pages < a.Pages; at.Pages++ {
			ctx.Progress(int64(at.Pages), int64(a.Pages), "writing")
			select { // a real app collects the page here, and uploads it
			case <-time.After(pageTakes):
			case <-ctx.Done():
				return none, ctx.Err()
			}
			if _, err := archivesPage.Run(ctx, archivePage{args.ArchiveID, at.Pages}); err != nil {
				return none, err
			}
			if err := ctx.Checkpoint(archived{at.Pages + 1}); err != nil {
				return none, err
			}
		}
		return none, nil
	})

	archivesPage.Handle(reg, func(ctx *dispatch.MutationCtx, args archivePage) (dispatch.None, error) {
		return none, archives.Patch(ctx.DB, args.ArchiveID, func(a *Archive) error {
			if args.Page < len(a.Written) {
				a.Repeats++
				return nil
			}
			if a.Written = append(a.Written, args.Page); len(a.Written) == a.Pages {
				a.EndedAt = ctx.Now
			}
			return nil
		})
	})

	archivesGet.Handle(reg, func(ctx *dispatch.QueryCtx, args archiveRef) (Archive, error) {
		return archives.Get(ctx.DB, args.ArchiveID)
	})
}
