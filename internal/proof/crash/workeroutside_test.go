package crash_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is the worker's action that ends from outside. It tells its token, and the worker answers
// at once: before the handler has returned, or after.

var askMark = dispatch.InternalAction[string, string]("work:ask")

// answerFor is what an attempt is answered with.
func answerFor(key string, attempt int) string { return fmt.Sprint(key, " in attempt ", attempt) }

// handleAsks binds the action.
func handleAsks(reg *dispatch.Registry, tell func(said)) {
	askMark.Handle(reg, func(ctx *dispatch.ActionCtx, key string) (string, error) {
		token, err := ctx.Pending(24 * time.Hour)
		if err != nil {
			return "", err
		}
		asked := sentBy(ctx, key)
		asked.Answer, asked.Kind = token, saidAsked
		tell(asked)
		time.Sleep(time.Millisecond) // a real process has no virtual time
		return "", dispatch.ErrPending
	})
}

// hear says what an action says, and answers what it asks.
func (w *worker) hear(d said) {
	w.say(d)
	if d.Kind != saidAsked || d.app() == goneApp {
		return
	}
	w.answers.Go(func() {
		_, name, _ := strings.Cut(d.Key, "/")
		w.do(d.app(), fmt.Sprintf("answer:%s/%d", name, d.Attempt), func() (storage.JobID, string, error) {
			ok, err := w.app(d.app()).Complete(w.ctx, d.Answer, answerFor(d.Key, d.Attempt))
			return d.Job, fmt.Sprint(ok), err
		})
	})
}

// answer answers what the workers were asked, of all apps: what is left of it ends by that.
func (v *verifier) answer(after *diary) {
	after.mu.Lock()
	said := slices.Concat(v.journal, after.lines)
	after.mu.Unlock()
	for _, d := range said {
		if d.Kind != saidAsked || d.app() == goneApp {
			continue
		}
		app, err := v.h.Engine.App(d.app())
		var ok bool
		if err == nil {
			ok, err = app.Complete(v.h.Context(), d.Answer, answerFor(d.Key, d.Attempt))
		}
		if err != nil && dispatch.AsError(err).Code != dispatch.CodeNotFound { // it was begun anew: see ran
			v.tally.Other("%s: answering attempt %d of %s: %v", v.what, d.Attempt, d.Key, err)
		}
		if ok {
			v.answered[d.Key] = append(v.answered[d.Key], answerFor(d.Key, d.Attempt))
		}
	}
}

// ends verifies that a job that ends from outside has ended once, and by the answer that was
// acknowledged, if one was (G33).
func (l *appLedger) ends() {
	acked, asked := map[storage.JobID][]string{}, map[storage.JobID]map[string]bool{}
	for key, ack := range l.acks {
		if verb, _ := split(key); verb == "answer" && ack.Answer == fmt.Sprint(true) {
			at := strings.LastIndex(key, "/")
			var attempt int
			if _, err := fmt.Sscan(key[at+1:], &attempt); err != nil {
				l.tally.Other("%s: %s: %v", l.what, key, err)
			}
			acked[ack.Job] = append(acked[ack.Job], answerFor(strings.Replace(key[:at], "answer:", "", 1), attempt))
		}
	}
	for _, d := range l.journal {
		if d.Kind == saidAsked && d.app() == l.id {
			if asked[d.Job] == nil {
				asked[d.Job] = map[string]bool{}
			}
			asked[d.Job][answerFor(d.Key, d.Attempt)] = true
		}
	}
	for _, job := range l.jobs {
		if job.Function != askMark.Path() {
			continue
		}
		by := append(acked[job.ID], l.answered[keyOf(job)]...)
		var result string
		if job.State == storage.StateSuccess && (json.Unmarshal(job.Result, &result) != nil || !asked[job.ID][result]) {
			l.tally.Other("%s: job %s (%s) is a success with %s, and was not answered with that", l.what, job.ID, keyOf(job), job.Result)
		}
		switch {
		case len(by) > 1:
			l.tally.Doubled("%s: job %s (%s) has ended by %q", l.what, job.ID, keyOf(job), by)
		case len(by) == 1 && (job.State != storage.StateSuccess || result != by[0]):
			l.tally.Lost("%s: job %s (%s) was told to end by %q, and is %s with %s", l.what, job.ID, keyOf(job), by[0], job.State, job.Result)
		}
	}
}
