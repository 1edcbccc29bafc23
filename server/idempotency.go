package server

import (
	"context"
	"net/http"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// keyHeader is the header with the idempotency key of a call.
const keyHeader = "Idempotency-Key"

// keyed is the context of the request, with the span that it comes from, and the idempotency key
// that it has, if it has one: of the operator, or of the identity if that is nil. Who asks has been
// looked at before.
func keyed(r *http.Request, op *Operator) (context.Context, error) {
	ctx := r.Context()
	if parents := r.Header.Values("Traceparent"); len(parents) == 1 { // of several none is valid
		if span := storage.ParseTrace(parents[0], strings.Join(r.Header.Values("Tracestate"), ",")); span != nil {
			ctx = dispatch.WithTrace(ctx, span)
		}
	}
	switch keys := r.Header.Values(keyHeader); {
	case len(keys) == 0:
		return ctx, nil
	case len(keys) > 1:
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "the request has %d headers %s, want one", len(keys), keyHeader)
	case op != nil:
		return dispatch.WithOperatorKey(ctx, op.Name, keys[0]), nil
	default:
		return dispatch.WithIdempotencyKey(ctx, keys[0]), nil
	}
}
