package client

import (
	"context"
	"crypto/rand"
	"strings"
)

// maxKey bounds an idempotency key.
const maxKey = 255

type (
	keyKey   struct{}
	traceKey struct{}
	trace    struct{ parent, state string }
)

// WithIdempotencyKey has Call and Schedule, within the context, send the key: 1 to 255 characters of
// visible ASCII. What was applied with it is not applied again for 24 hours; a repeat, of another
// process, too, is answered as the first one was. One context is for one call. Without it a key is
// drawn for each call, which makes the attempts of that call safe, and no more.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyKey{}, key)
}

// WithTrace has what is asked within the context come from the span of those headers of the W3C's
// Trace Context. tracestate may be "". What is malformed is left out.
func WithTrace(ctx context.Context, traceparent, tracestate string) context.Context {
	if traceparent == "" || !printable(traceparent) {
		return ctx
	}
	if !printable(tracestate) {
		tracestate = ""
	}
	return context.WithValue(ctx, traceKey{}, trace{traceparent, tracestate})
}

// printable says whether the text can be the value of a header.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c >= 0x7f })
}

// keyed gives the request the key of the context, or one that is drawn at random, and has it repeated
// if it has one.
func (c *Client) keyed(ctx context.Context, r request) request {
	if key, given := ctx.Value(keyKey{}).(string); given {
		r.key = &key
	} else if !c.opts.NoKeys {
		key = rand.Text()
		r.key = &key
	}
	r.repeat = ifNotDone
	if r.key != nil {
		r.repeat = always
	}
	return r
}
