package model_test

import (
	"fmt"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Starts of handlers and what they tell of their progress are not durable, and predicted all the
// same: those who watch are told each at the instant at which it happened, once, in the order of
// one attempt, and nothing of the kind that no handler has done. An attempt that is over by then,
// or an engine that crashes, may leave it untold (G34, G36).

// passing is a start of a handler, or a step of its progress.
type passing struct {
	app     storage.AppID
	job     storage.JobID
	attempt int
	note    string // "": it has begun
	at      time.Time
}

func (e passing) String() string {
	return fmt.Sprintf("%s: job %s of %s, attempt %d, %q", e.at.Format(stamp), e.job, e.app, e.attempt, e.note)
}

// progress has an action that saves checkpoints tell how far it has come.
func (j *journal) progress(ctx *dispatch.ActionCtx, r *run, p *program, nth int) {
	if !p.Saves || ctx.Job.ID == "" {
		return
	}
	note := fmt.Sprintf("%s#%d.%d", p.Name, ctx.Job.Attempt, nth)
	j.note(event{what: "progressed", run: r, answers: []string{note}})
	ctx.Progress(int64(nth), 2, note)
}

// untroubled notes of an action that its attempt was not over a moment ago.
func (j *journal) untroubled(ctx *dispatch.ActionCtx, r *run) {
	if ctx.Job.ID != "" && ctx.Err() == nil {
		j.note(event{what: "untroubled", run: r})
	}
}

// ephemeral is what of the journal those who watch are told and is not durable. A mutation that an
// action calls is no start of its job.
func (x *history) ephemeral(h event) (e passing, ok bool) {
	if h.run == nil || h.run.job.ID == "" || h.what != "start" && h.what != "progressed" || x.nested[h.run.prog.Name] {
		return passing{}, false
	}
	e = passing{app: h.run.app, job: h.run.job.ID, attempt: h.run.job.Attempt, at: h.at}
	if h.what == "progressed" {
		e.note, e.attempt = h.answers[0], 0 // of which an event tells no attempt
	}
	return e, true
}

// compareEphemeral demands of what those who watch were told in a command that the handlers have
// done it then, and the other way round.
func (x *history) compareEphemeral() {
	happened, told := map[passing]int{}, map[passing]int{}
	for _, h := range x.noted {
		if h.what == "doing" && h.op.Nest != nil {
			x.nested[h.op.Nest.Name] = true
		}
		if e, ok := x.ephemeral(h); ok {
			happened[e]++
		}
	}
	for _, id := range modelApps {
		p := x.audiences[id]
		if p.left {
			continue
		}
		for _, h := range p.told {
			if !h.Ephemeral() {
				continue
			}
			e := passing{app: id, job: h.Job.ID, attempt: h.Job.Attempts, at: h.at}
			if h.Kind == actors.EventProgressed {
				e.note, e.attempt = h.Job.Progress.Note, 0
			}
			if told[e]++; told[e] > happened[e] {
				x.m.found("doubled", "those who watch were told %d times of what has happened %d times: %v", told[e], happened[e], e)
			}
		}
	}
	steps := map[*run][]passing{}
	for _, h := range x.noted {
		e, ok := x.ephemeral(h)
		var missing []passing
		switch {
		case ok && h.run.acts:
			steps[h.run] = append(steps[h.run], e)
		case ok:
			missing = []passing{e}
		case h.what == "untroubled":
			missing = steps[h.run]
		}
		p := x.audiences[h.run.appOr()]
		if p == nil || p.left || p.keeps || p.begins || p.made {
			continue
		}
		for _, e := range missing {
			if told[e] < happened[e] {
				x.m.found("lost", "those who watch were told %d times of what has happened %d times: %v", told[e], happened[e], e)
			}
		}
	}
}

// appOr is the run's app, "" of none.
func (r *run) appOr() storage.AppID {
	if r == nil {
		return ""
	}
	return r.app
}
