package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Notification is a document of the table notifications: something that was
// sent to the subscribers of a post, once for each Key.
type Notification struct {
	Key    storage.JobID    `json:"key"` // the id of the job that sent it
	PostID storage.ID[Post] `json:"postId"`
	Title  string           `json:"title"`
	SentAt time.Time        `json:"sentAt"`
}

type recordNotification struct {
	PostID storage.ID[Post] `json:"postId"`
	Title  string           `json:"title"`
}

var (
	notifications = storage.NewTable[Notification]("notifications",
		storage.Index("by_key", "key"),
		storage.Index("by_post", "postId", "sentAt"),
		storage.Index("by_sent", "sentAt"),
	)

	notifySubscribers   = dispatch.InternalAction[postRef, dispatch.None]("notifications:notifySubscribers")
	notificationsRecord = dispatch.InternalMutation[recordNotification, dispatch.None]("notifications:record")
	notificationsList   = dispatch.Query[postRef, []Notification]("notifications:list")
)

func handleNotifications(reg *dispatch.Registry) {
	// An action has no database of its own: it reads through a query and writes
	// through a mutation, each its own transaction, and may reach out between them.
	notifySubscribers.Handle(reg, func(ctx *dispatch.ActionCtx, args postRef) (dispatch.None, error) {
		post, err := postsRead.Run(ctx, args)
		if err != nil {
			return dispatch.None{}, err
		}
		// A real app sends its mail here, and gives the mailer the key: a
		// crash after this line runs the action again, and the key is the same then.
		ctx.Log.Info("notifying subscribers", "title", post.Title, "key", ctx.Job.IdempotencyKey())
		return notificationsRecord.Run(ctx, recordNotification{args.PostID, post.Title})
	})

	// What an action runs belongs to the action's job, so the key needs no argument.
	notificationsRecord.Handle(reg, func(ctx *dispatch.MutationCtx, args recordNotification) (dispatch.None, error) {
		key := ctx.Job.ID
		_, recorded, err := notifications.Query(ctx.DB).By("by_key").Eq(key).First()
		if err != nil || recorded {
			return dispatch.None{}, err
		}
		_, err = notifications.Insert(ctx.DB, Notification{Key: key, PostID: args.PostID, Title: args.Title, SentAt: ctx.Now})
		return dispatch.None{}, err
	})

	notificationsList.Handle(reg, func(ctx *dispatch.QueryCtx, args postRef) ([]Notification, error) {
		if _, err := posts.Get(ctx.DB, args.PostID); err != nil {
			return nil, err
		}
		return values(notifications.Query(ctx.DB).By("by_post").Eq(args.PostID))
	})
}

// values reads all that a query finds. It is not nil unless the error is not, so
// that nothing found is the JSON [] and not null.
func values[T any](q storage.Query[T]) ([]T, error) {
	found := []T{}
	for doc, err := range q.All() {
		if err != nil {
			return nil, err
		}
		found = append(found, doc.Value)
	}
	return found, nil
}
