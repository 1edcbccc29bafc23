package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// PostStatus says whether a post can be seen.
type PostStatus string

// The states of a post.
const (
	Draft     PostStatus = "draft"
	Published PostStatus = "published"
)

// Post is a document of the table posts.
type Post struct {
	Title       string     `json:"title"`
	Status      PostStatus `json:"status"`
	CreatedAt   time.Time  `json:"createdAt"`
	PublishedAt time.Time  `json:"publishedAt,omitzero"`
}

// notifyAfter is how long after publishing the subscribers are told, if the
// caller does not say: long enough to notice a typing error.
const notifyAfter = 30 * time.Second

type (
	createPost struct {
		Title string `json:"title"`
	}
	publishPost struct {
		PostID        storage.ID[Post] `json:"postId"`
		NotifyAfterMs *int64           `json:"notifyAfterMs"`
	}
	postRef struct {
		PostID storage.ID[Post] `json:"postId"`
	}
	scheduled struct {
		JobID storage.JobID `json:"jobId"`
	}
)

var (
	posts = storage.NewTable[Post]("posts")

	postsCreate  = dispatch.Mutation[createPost, storage.ID[Post]]("posts:create")
	postsPublish = dispatch.Mutation[publishPost, scheduled]("posts:publish")
	postsRead    = dispatch.InternalQuery[postRef, Post]("posts:read")
)

func handlePosts(reg *dispatch.Registry) {
	postsCreate.Handle(reg, func(ctx *dispatch.MutationCtx, args createPost) (storage.ID[Post], error) {
		if err := checkText("title", args.Title); err != nil {
			return "", err
		}
		return posts.Insert(ctx.DB, Post{Title: args.Title, Status: Draft, CreatedAt: ctx.Now})
	})

	// The status and the notification's schedule are one commit: no post is ever
	// published without its subscribers being told. A post that is published
	// already may be published again, and its subscribers are told again.
	postsPublish.Handle(reg, func(ctx *dispatch.MutationCtx, args publishPost) (scheduled, error) {
		delay := notifyAfter
		if ms := args.NotifyAfterMs; ms != nil {
			var err error
			if delay, err = milliseconds("notifyAfterMs", *ms); err != nil {
				return scheduled{}, err
			}
		}
		err := posts.Patch(ctx.DB, args.PostID, func(p *Post) error {
			p.Status, p.PublishedAt = Published, ctx.Now
			return nil
		})
		if err != nil {
			return scheduled{}, err
		}
		id, err := ctx.Scheduler.RunAfter(delay, notifySubscribers.With(postRef{args.PostID}))
		return scheduled{id}, err
	})

	postsRead.Handle(reg, func(ctx *dispatch.QueryCtx, args postRef) (Post, error) {
		return posts.Get(ctx.DB, args.PostID)
	})
}
