// The ids of two tables do not mix.
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
	burn  = dispatch.Mutation[storage.ID[Note], dispatch.None]("notes:burn")
	leave = dispatch.Mutation[storage.ID[User], dispatch.None]("users:leave")
)

func functions(reg *dispatch.Registry) {
	leave.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[User]) (dispatch.None, error) {
		if err := notes.Delete(ctx.DB, id); err != nil { // want "cannot use id (variable of string type storage.ID[User]) as storage.ID[Note] value in argument to notes.Delete"
			return dispatch.None{}, err
		}
		_, err := ctx.Scheduler.RunAfter(time.Hour, burn.With(id)) // want "cannot use id (variable of string type storage.ID[User]) as storage.ID[Note] value in argument to burn.With"
		return dispatch.None{}, err
	})
}
