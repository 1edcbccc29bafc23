// A mutation runs no action: what an action has done cannot be rolled back. It schedules one.
package misuse

import "carillon/dispatch"

var (
	charge = dispatch.Action[string, dispatch.None]("payments:charge")
	order  = dispatch.Mutation[string, dispatch.None]("orders:place")
)

func functions(reg *dispatch.Registry) {
	order.Handle(reg, func(ctx *dispatch.MutationCtx, id string) (dispatch.None, error) {
		return charge.Run(ctx, id) // want "cannot use ctx (variable of type *dispatch.MutationCtx) as dispatch.ActionRunner value in argument to charge.Run: *dispatch.MutationCtx does not implement dispatch.ActionRunner (missing method runAction)"
	})
}
