// A query runs queries only.
package misuse

import "carillon/dispatch"

var (
	charge = dispatch.Action[string, dispatch.None]("payments:charge")
	get    = dispatch.Query[string, dispatch.None]("orders:get")
)

func functions(reg *dispatch.Registry) {
	get.Handle(reg, func(ctx *dispatch.QueryCtx, id string) (dispatch.None, error) {
		return charge.Run(ctx, id) // want "cannot use ctx (variable of type *dispatch.QueryCtx) as dispatch.ActionRunner value in argument to charge.Run: *dispatch.QueryCtx does not implement dispatch.ActionRunner (missing method runAction)"
	})
}
