// The control: everything the other snippets do wrong, done right. It must compile.
package misuse

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

type (
	Note struct{ Text string }
	User struct{ Name string }
)

var (
	notes = storage.NewTable[Note]("notes")
	users = storage.NewTable[User]("users")

	list = dispatch.Query[dispatch.None, int]("notes:list")
	post = dispatch.Mutation[Note, storage.ID[Note]]("notes:post")
	burn = dispatch.InternalMutation[storage.ID[Note], dispatch.None]("notes:burn")
	mail = dispatch.InternalAction[storage.ID[User], dispatch.None]("users:mail")
)

func functions(reg *dispatch.Registry) {
	list.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		_, err := notes.Get(ctx.DB, "")
		return 0, err
	})
	post.Handle(reg, func(ctx *dispatch.MutationCtx, n Note) (storage.ID[Note], error) {
		id, err := notes.Insert(ctx.DB, n)
		if err != nil {
			return "", err
		}
		if _, err := list.Run(ctx, dispatch.None{}); err != nil {
			return "", err
		}
		_, err = ctx.Scheduler.RunAfter(time.Hour, burn.With(id))
		return id, err
	})
	burn.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[Note]) (dispatch.None, error) {
		return dispatch.None{}, notes.Delete(ctx.DB, id)
	})
	mail.Handle(reg, func(ctx *dispatch.ActionCtx, id storage.ID[User]) (dispatch.None, error) {
		if _, err := post.Run(ctx, Note{Text: "mailed"}); err != nil {
			return dispatch.None{}, err
		}
		if _, err := ctx.Scheduler.RunAfter(0, mail.With(id)); err != nil {
			return dispatch.None{}, err
		}
		return mail.Run(ctx, id)
	})
}

func host(caller dispatch.Caller, id storage.ID[User]) error {
	if _, err := list.Run(caller, dispatch.None{}); err != nil {
		return err
	}
	if _, err := post.Run(caller, Note{}); err != nil {
		return err
	}
	_, err := mail.Run(caller, id)
	return err
}
