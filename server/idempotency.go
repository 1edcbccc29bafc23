package server

import (
	"context"
	"net/http"

	"carillon/dispatch"
)

// keyHeader is the header with the idempotency key of a call.
const keyHeader = "Idempotency-Key"

// keyed is the context of the request, with the idempotency key that it has, if it has one: of the
// operator, or of the identity if that is nil. Who asks has been looked at before.
func keyed(r *http.Request, op *Operator) (context.Context, error) {
	switch keys := r.Header.Values(keyHeader); {
	case len(keys) == 0:
		return r.Context(), nil
	case len(keys) > 1:
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "the request has %d headers %s, want one", len(keys), keyHeader)
	case op != nil:
		return dispatch.WithOperatorKey(r.Context(), op.Name, keys[0]), nil
	default:
		return dispatch.WithIdempotencyKey(r.Context(), keys[0]), nil
	}
}
