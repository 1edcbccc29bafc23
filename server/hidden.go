package server

import (
	"slices"

	"carillon/server/api"
)

// veil leaves out of what is shown to an operator without the scope read-args what a job or a
// trigger was given, what came of it, and what people and handlers have written. The fields
// that had something are named in "hidden", so that they are not taken for empty.
func veil[T any](r *request, shown *T, hideIn func(*T)) {
	if !r.op.may(ScopeReadArgs) {
		hideIn(shown)
	}
}

// hide leaves a field out, if there is something in it.
func hide[T any](hidden *[]string, name string, field *T, there bool) {
	if there {
		var none T
		*field = none
		*hidden = append(*hidden, name)
	}
}

// hideMessage leaves the text of an error out; its code stays.
func hideMessage(hidden *[]string, err *api.JobError) *api.JobError {
	if err == nil {
		return nil
	}
	*hidden = append(*hidden, "error.message")
	return &api.JobError{Code: err.Code}
}

func hideInJob(j *api.Job) {
	hide(&j.Hidden, "args", &j.Args, true)
	hide(&j.Hidden, "result", &j.Result, j.Result != nil)
	hide(&j.Hidden, "reason", &j.Reason, j.Reason != "")
	j.Error = hideMessage(&j.Hidden, j.Error)
	for i := range j.History {
		hide(&j.Hidden, "history.error.message", &j.History[i].Error.Message, true)
	}
	if j.JobDetail != nil {
		hideInDetail(j.JobDetail, &j.Hidden)
	}
	j.Hidden = slices.Compact(j.Hidden)
}

func hideInDetail(d *api.JobDetail, hidden *[]string) {
	hide(hidden, "checkpoint", &d.Checkpoint, d.Checkpoint != nil)
	hide(hidden, "logs", &d.Logs, d.Logs != nil)
	if d.Progress != nil {
		hide(hidden, "progress.note", &d.Progress.Note, d.Progress.Note != "")
	}
}

func hideInCron(c *api.Cron) {
	hide(&c.Hidden, "args", &c.Args, true)
	hide(&c.Hidden, "pauseReason", &c.PauseReason, c.PauseReason != "")
	if c.Last != nil {
		c.Last.Error = hideMessage(&c.Hidden, c.Last.Error)
	}
	if c.Backfill != nil {
		hide(&c.Hidden, "backfill.reason", &c.Backfill.Reason, c.Backfill.Reason != "")
	}
	for i := range c.Slots {
		hide(&c.Hidden, "slots.reason", &c.Slots[i].Reason, c.Slots[i].Reason != "")
	}
	c.Hidden = slices.Compact(c.Hidden)
}
