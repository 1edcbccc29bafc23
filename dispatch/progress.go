package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"carillon/internal/brief"
	"carillon/internal/strictjson"
	"carillon/storage"
)

// MaxProgressNote bounds the note of a progress, in bytes; a longer one is cut.
const MaxProgressNote = 1 << 10

// Notes is what the engine keeps of a job's attempt while it runs. For engines.
type Notes interface {
	Checkpoint(ctx context.Context, value json.RawMessage) error
	Latest() (json.RawMessage, error)
	Progress(done, total int64, note string)
}

// Checkpoint saves what the next attempt of the job goes on from, in place of what was saved
// before: a value that encodes to JSON of up to storage.MaxCheckpoint bytes. CheckpointOf returns
// it, in this attempt as in any later one, over a crash and for a dead job that is retried, until
// the job has ended as a success, canceled or expired, or other arguments have taken the place of
// its own (JobRun.Revision).
//
// It is durable when Checkpoint returns, unless the attempt has written one less than a second
// before: then it returns at once, and the latest is written when the second is over, or in
// the commit that ends the attempt; a crash meanwhile takes it. So it may be called as often as
// there is something to save. It is also for a handler that is told to stop, as long as it has not
// been given up. In an action that another one runs it is the checkpoint of the job of both; in a
// call that is no job it does nothing, since nothing tries that again.
//
// Errors: resource_exhausted for a value that is too long, and if the app's checkpoints have
// Options.MaxCheckpointBytes together; canceled or aborted if the job was canceled or the attempt
// is over, after which nothing is saved; unavailable and unknown as for a mutation. What was saved
// before stays then.
func (c *ActionCtx) Checkpoint(value any) error {
	path := c.run.path()
	if err := c.run.over(path); err != nil {
		return err
	}
	raw, err := strictjson.Encode(value)
	if err != nil {
		return &Error{Code: CodeInvalidArgument, Path: path, Message: "checkpoint: cannot be encoded: " + strictjson.Text(err), Err: err, permanent: true}
	}
	if err := checkSize(path, "checkpoint", len(raw), storage.MaxCheckpoint); err != nil {
		return err
	}
	if c.run.env.Notes == nil {
		return nil
	}
	if err := c.run.env.Notes.Checkpoint(c.Context, raw); err != nil {
		return failure(path, err)
	}
	return nil
}

// CheckpointOf returns what an attempt of the context's job has saved last with Checkpoint. ok is
// false if there is nothing. Errors: failed_precondition if it does not decode into a T, data_loss
// if it is damaged.
func CheckpointOf[T any](c *ActionCtx) (value T, ok bool, err error) {
	path := c.run.path()
	if err := c.run.over(path); err != nil {
		return value, false, err
	}
	if c.run.env.Notes == nil {
		return value, false, nil
	}
	raw, err := c.run.env.Notes.Latest()
	switch {
	case err != nil:
		return value, false, failure(path, err)
	case raw == nil:
		return value, false, nil
	}
	var saved T
	if err := json.Unmarshal(raw, &saved); err != nil {
		return value, false, &Error{Code: CodeFailedPrecondition, Path: path, Message: fmt.Sprintf("the checkpoint is no %T: %v", value, err), Err: err}
	}
	return saved, true, nil
}

// Progress tells how far the attempt has come: so much of a total (0: not known), and a note of up
// to MaxProgressNote bytes. Readers of the job (storage.Job.Progress) see it at once. It is written
// down within a second, and at most once a second; none of it outlives the attempt. It neither
// blocks nor fails. In an action that another one runs it is that of the job of both; in a call
// that is no job, and after the attempt is over, it does nothing.
func (c *ActionCtx) Progress(done, total int64, note string) {
	if c.run == nil || c.run.done.Load() || c.run.env.Notes == nil {
		return
	}
	c.run.env.Notes.Progress(done, total, brief.Cut(strings.ToValidUTF8(note, "\uFFFD"), MaxProgressNote))
}
