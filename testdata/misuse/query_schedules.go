// A query has no scheduler: it changes nothing.
package misuse

import (
	"time"

	"carillon/dispatch"
)

var (
	list = dispatch.Query[dispatch.None, int]("notes:list")
	burn = dispatch.Mutation[string, dispatch.None]("notes:burn")
)

func functions(reg *dispatch.Registry) {
	list.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		_, err := ctx.Scheduler.RunAfter(time.Hour, burn.With("x")) // want "ctx.Scheduler undefined (type *dispatch.QueryCtx has no field or method Scheduler)"
		return 0, err
	})
}
