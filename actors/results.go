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
	return app.eng.kept(inv.Path, &inv.job.job, result)
}

// kept is what is kept of the result that a job of the function at the path has come to.
func (e *Engine) kept(path string, job *storage.Job, result []byte) ([]byte, *storage.NotKept) {
	switch opts := &e.opts; {
	case opts.MaxResult < 0 || !opts.Functions.KeepsResult(path, job.KeepResult):
		return nil, &storage.NotKept{Bytes: len(result), Reason: "it is not to be kept"}
	case len(result) > opts.MaxResult:
		return nil, &storage.NotKept{Bytes: len(result), Reason: fmt.Sprintf("it is larger than %d bytes (MaxResult)", opts.MaxResult)}
	}
	return result, nil
}
