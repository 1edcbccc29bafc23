package model_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// An action may save checkpoints: its next attempt is given the latest one, whatever has ended the
// one before, until the job is a success, canceled or expired (G34). The first of an attempt is
// durable when it returns, and so is one that comes a second later; what comes sooner is with the
// end of the attempt at the latest, and only a crash leaves open which of them is there.

// modelSaved is how often an attempt writes a checkpoint at most.
const modelSaved = time.Second

// save saves a checkpoint if the program says so, and notes how that ended.
func (j *journal) save(ctx *dispatch.ActionCtx, r *run, p *program, nth int) {
	if !p.Saves {
		return
	}
	value := fmt.Sprintf("%s#%d.%d", p.Name, ctx.Job.Attempt, nth)
	j.note(event{what: "saving", run: r, answers: []string{value}})
	err := ctx.Checkpoint(value)
	j.note(event{what: "saved", run: r, answers: []string{value}, err: err})
}

// resume notes which checkpoint the attempt is given.
func (j *journal) resume(ctx *dispatch.ActionCtx, r *run, p *program) {
	if !p.Saves {
		return
	}
	value, _, err := dispatch.CheckpointOf[string](ctx)
	j.note(event{what: "resumed", run: r, answers: []string{value}, err: err})
}

// saving is what an attempt has begun to save, or has saved.
func (m *model) saving(a *app, h event) {
	r, value := h.run, h.answers[0]
	j := a.own(r)
	if j == nil || j.run != r {
		return
	}
	switch {
	case h.what == "saving":
		if !r.over {
			j.unsaved = value
		}
	case h.err == nil && r.over && r.overAt.Before(h.at):
		m.found("other", "job %s (%s) was over, and has saved %s", j.id, j.name, value)
	case h.err == nil && !r.over && !r.saveFailed && (r.savedAt.IsZero() || h.at.Sub(r.savedAt) >= modelSaved):
		j.saved, j.unsaved, r.savedAt = value, "", h.at
	case h.err != nil && !r.over:
		r.saveFailed, j.unknown = true, true
		code := dispatch.AsError(h.err).Code
		if code == dispatch.CodeUnavailable && m.wait < modelWait && strings.Contains(h.err.Error(), "for its turn") {
			r.refused = true
		}
		if r.toldAt.IsZero() && !m.cut && !m.closing && m.wait >= modelWait && h.at.Sub(r.began) < j.timeout() && !errors.Is(h.err, dispatch.ErrPending) {
			m.found("other", "job %s (%s) could not save %s: %s", j.id, j.name, value, code)
		}
	}
}

// resumed demands that the attempt is given what was saved last.
func (m *model) resumed(a *app, h event) {
	j := a.own(h.run)
	if j == nil || j.run != h.run || h.run.over {
		return
	}
	if got := h.answers[0]; h.err != nil || got != j.saved && (got != j.unsaved || got == "") && !(j.unknown && strings.HasPrefix(got, j.name+"#")) {
		m.found("lost", "job %s (%s), attempt %d, was given the checkpoint %q (%v), want %q, or perhaps %q", j.id, j.name, h.run.job.Attempt, got, h.err, j.saved, j.unsaved)
	}
	j.saved, j.unsaved, j.unknown = h.answers[0], "", false
}

// savedLast is an attempt that has come to its end: its last checkpoint is written with it.
func (a *app) savedLast(j *job, r *run) {
	if j.unsaved == "" || r.saveFailed {
		return
	}
	a.touch(j)
	j.saved, j.unsaved = j.unsaved, ""
}

// forgets is a job at its end, whose checkpoint goes unless it is dead.
func (j *job) forgets() {
	if j.state != storage.StateFailed {
		j.saved, j.unsaved, j.unknown = "", "", false
	}
}

// compareCheckpoints compares what the jobs have saved, as far as its size tells.
func (m *model) compareCheckpoints(a *app) {
	size := func(value string) int {
		if value == "" {
			return 0
		}
		return len(value) + 2 // as JSON
	}
	for _, j := range a.jobs {
		job, ok := m.seen[a.id].jobs[j.id]
		if stored := m.seen[a.id].of(j); !ok || stored.ID != j.id || stored.Seq() != job.Seq() {
			continue
		}
		if n := job.CheckpointSize; n != size(j.saved) && !j.unknown && (j.unsaved == "" || n != size(j.unsaved)) {
			m.found("lost", "app %s: job %s (%s), which is %s, has a checkpoint of %d bytes, want %q, or perhaps %q", a.id, j.id, j.name, j.state, n, j.saved, j.unsaved)
		}
	}
}
