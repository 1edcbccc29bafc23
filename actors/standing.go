package actors

import (
	"context"

	"carillon/dispatch"
	"carillon/storage"
)

// Shared says whether the log of the store is one that other nodes share.
func (e *Engine) Shared() bool { return e.opts.Testing.Standing != nil }

// Standing returns the nodes that share the log of the store and who owns its shards, as of one moment, or
// nothing if no others share it. It waits for the log.
func (e *Engine) Standing(ctx context.Context) (storage.Standing, error) {
	if !e.Shared() {
		return storage.Standing{}, nil
	}
	s, err := e.opts.Testing.Standing(ctx)
	if err != nil {
		return s, &dispatch.Error{Code: dispatch.CodeUnavailable, Message: "the log of the store does not answer", Err: err}
	}
	return s, nil
}
