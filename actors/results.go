package actors

import (
	"fmt"

	"carillon/storage"
)

// keep is what is kept of the result of a due job that has succeeded: all of it, or why it is
// not. The operator is told of a result that has no JSON, or is too large.
func (app *appState) keep(inv *invocation, result []byte) ([]byte, *storage.NotKept) {
	opts := &app.eng.opts
	if n := &inv.notKept; n.Reason != "" {
		opts.Logger.Warn("the result of a job is not kept",
			"app", app.id, "function", inv.Path, "job", inv.Job.ID, "attempt", inv.Job.Attempt, "bytes", n.Bytes, "reason", n.Reason)
		return nil, n
	}
	switch {
	case opts.MaxResult < 0 || !opts.Functions.KeepsResult(inv.Path, inv.job.job.KeepResult):
		return nil, &storage.NotKept{Bytes: len(result), Reason: "it is not to be kept"}
	case len(result) > opts.MaxResult:
		return nil, &storage.NotKept{Bytes: len(result), Reason: fmt.Sprintf("it is larger than %d bytes (MaxResult)", opts.MaxResult)}
	}
	return result, nil
}
