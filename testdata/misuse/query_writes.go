// A query reads: its DB is no Writer, and it runs no mutation that would write for it.
package misuse

import (
	"carillon/dispatch"
	"carillon/storage"
)

type Note struct{ Text string }

var (
	notes = storage.NewTable[Note]("notes")
	list  = dispatch.Query[dispatch.None, int]("notes:list")
	post  = dispatch.Mutation[Note, storage.ID[Note]]("notes:post")
)

func functions(reg *dispatch.Registry) {
	list.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		if _, err := notes.Insert(ctx.DB, Note{}); err != nil { // want "cannot use ctx.DB (variable of interface type storage.Reader) as storage.Writer value in argument to notes.Insert: storage.Reader does not implement storage.Writer (missing method writer)"
			return 0, err
		}
		_, err := post.Run(ctx, Note{}) // want "cannot use ctx (variable of type *dispatch.QueryCtx) as dispatch.MutationRunner value in argument to post.Run: *dispatch.QueryCtx does not implement dispatch.MutationRunner (missing method runMutation)"
		return 0, err
	})
}
