package sample

import (
	"fmt"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// Photo is a document of the table photos: a picture on its way to the page of its owner.
type Photo struct {
	Name  string `json:"name"`
	State string `json:"state"` // PhotoPending until its chain of jobs has ended
	Text  string `json:"text"`  // what is on it, or why it is not shown
}

// The states of a photo.
const (
	PhotoPending = "pending"
	PhotoShown   = "shown"
	PhotoRefused = "refused"
)

type (
	addPhoto struct {
		Name string `json:"name"`
	}
	addedPhoto struct {
		PhotoID storage.ID[Photo] `json:"photoId"`
		JobID   storage.JobID     `json:"jobId"`
	}
	photoRef struct {
		PhotoID storage.ID[Photo] `json:"photoId"`
	}
	scaledPhoto struct {
		Width  int `json:"width"`
		Height int `json:"height"`
	}
)

var (
	photos = storage.NewTable[Photo]("photos")

	photosAdd      = dispatch.Mutation[addPhoto, addedPhoto]("photos:add")
	photosGet      = dispatch.Query[photoRef, Photo]("photos:get")
	photosScale    = dispatch.InternalAction[photoRef, scaledPhoto]("photos:scale")
	photosDescribe = dispatch.InternalAction[photoRef, string]("photos:describe")
	photosShow     = dispatch.InternalMutation[photoRef, dispatch.None]("photos:show")
)

func handlePhotos(reg *dispatch.Registry) {
	// The whole chain is stored with the photo: each job is scheduled in the commit that
	// ends the one before, however that has ended.
	photosAdd.Handle(reg, func(ctx *dispatch.MutationCtx, args addPhoto) (addedPhoto, error) {
		if err := checkText("name", args.Name); err != nil {
			return addedPhoto{}, err
		}
		id, err := photos.Insert(ctx.DB, Photo{Name: args.Name, State: PhotoPending})
		if err != nil {
			return addedPhoto{}, err
		}
		ref := photoRef{id}
		job, err := ctx.Scheduler.RunAfter(0, photosScale.With(ref),
			dispatch.OnDone(photosDescribe.With(ref), dispatch.OnDone(photosShow.With(ref))))
		return addedPhoto{id, job}, err
	})

	photosScale.Handle(reg, func(ctx *dispatch.ActionCtx, args photoRef) (scaledPhoto, error) {
		p, err := photosGet.Run(ctx, args)
		if err != nil {
			return scaledPhoto{}, err
		}
		if !strings.HasSuffix(p.Name, ".png") { // a real app reads the picture here
			return scaledPhoto{}, dispatch.Permanent(dispatch.Errorf(dispatch.CodeFailedPrecondition, "%s is no picture", p.Name))
		}
		return scaledPhoto{Width: 640, Height: 480}, nil
	})

	// What the job before has returned is not stored in between. If there is nothing, there is
	// nothing to do: the error goes along the chain.
	photosDescribe.Handle(reg, func(ctx *dispatch.ActionCtx, args photoRef) (string, error) {
		scaled, err := dispatch.ResultOf[scaledPhoto](ctx.Job.Outcome)
		if err != nil {
			return "", dispatch.Permanent(err)
		}
		p, err := photosGet.Run(ctx, args)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %d by %d", strings.TrimSuffix(p.Name, ".png"), scaled.Width, scaled.Height), nil
	})

	photosShow.Handle(reg, func(ctx *dispatch.MutationCtx, args photoRef) (dispatch.None, error) {
		text, failed := dispatch.ResultOf[string](ctx.Job.Outcome)
		return none, photos.Patch(ctx.DB, args.PhotoID, func(p *Photo) error {
			if p.State, p.Text = PhotoShown, text; failed != nil {
				p.State, p.Text = PhotoRefused, dispatch.AsError(failed).Message
			}
			return nil
		})
	})

	photosGet.Handle(reg, func(ctx *dispatch.QueryCtx, args photoRef) (Photo, error) {
		return photos.Get(ctx.DB, args.PhotoID)
	})
}
