package sample

import "carillon/dispatch"

// Echoed has a field for each kind of value that JSON alone does not tell apart for every client.
type Echoed struct {
	N int64   `json:"n"`
	B []byte  `json:"b"`
	F float64 `json:"f"`
	S string  `json:"s"`
}

var (
	echoAct  = dispatch.Action[Echoed, Echoed]("echo:act")
	echoKeys = dispatch.Query[dispatch.None, map[string]int]("echo:keys")
)

func handleEcho(reg *dispatch.Registry) {
	echoAct.Handle(reg, func(_ *dispatch.ActionCtx, args Echoed) (Echoed, error) { return args, nil })
	// Not every client can hold a result with this name.
	echoKeys.Handle(reg, func(*dispatch.QueryCtx, dispatch.None) (map[string]int, error) {
		return map[string]int{"é": 1}, nil
	})
}
