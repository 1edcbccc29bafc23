package client

import (
	"context"
	"encoding/json"

	"carillon/server/api"
)

// Complete ends the attempt that is pending outside with the token, as a success with the result. It
// returns whether it was this call that did: false says that the attempt was ended before, maybe
// by an attempt of this call whose answer was lost. It is a client's: the token is all that is
// asked for.
func (a *App) Complete(ctx context.Context, token string, result any) (ended bool, err error) {
	data, err := json.Marshal(result)
	if err != nil {
		return false, &Error{Code: api.CodeInvalidArgument, Message: err.Error(), Err: err}
	}
	return a.end(ctx, &api.OutsideResult{Result: data}, token, "complete")
}

// Fail is Complete with a failure: the job is tried again, as far as its retries go, unless that is
// permanent.
func (a *App) Fail(ctx context.Context, token string, failure api.OutsideFailure) (ended bool, err error) {
	return a.end(ctx, &failure, token, "fail")
}

func (a *App) end(ctx context.Context, body any, token, how string) (bool, error) {
	var end api.OutsideEnd
	err := a.c.do(ctx, a.post(always, body, "outside", token, how), &end)
	return end.Ended, err
}
