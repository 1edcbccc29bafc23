// An action has no DB: it reaches data through queries and mutations.
package misuse

import (
	"carillon/dispatch"
	"carillon/storage"
)

type Note struct{ Text string }

var (
	notes = storage.NewTable[Note]("notes")
	send  = dispatch.Action[storage.ID[Note], dispatch.None]("notes:send")
)

func functions(reg *dispatch.Registry) {
	send.Handle(reg, func(ctx *dispatch.ActionCtx, id storage.ID[Note]) (dispatch.None, error) {
		_, err := notes.Get(ctx.DB, id) // want "ctx.DB undefined (type *dispatch.ActionCtx has no field or method DB)"
		return dispatch.None{}, err
	})
}
