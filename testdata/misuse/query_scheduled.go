// A query cannot be scheduled: its result would not be seen.
package misuse

import (
	"time"

	"carillon/dispatch"
)

var (
	list = dispatch.Query[dispatch.None, int]("notes:list")
	post = dispatch.Mutation[dispatch.None, dispatch.None]("notes:post")
)

func functions(reg *dispatch.Registry) {
	post.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := ctx.Scheduler.RunAfter(time.Hour, list.With(dispatch.None{})) // want "list.With undefined (type *dispatch.QueryRef[dispatch.None, int] has no field or method With)"
		return dispatch.None{}, err
	})
}
