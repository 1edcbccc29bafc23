package model_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"carillon/dispatch"
	"carillon/storage"
)

// The attempt of an action may end from outside (G33): its handler asks for a token, and its
// attempt goes on when it has returned, until what has the token completes it or has it fail, or
// that comes too late. An end that comes while the handler runs stands whatever it returns. A
// token is good for one attempt. When exactly an attempt times out the model reads off what is
// stored, and demands that this is not early, and happens.

var modelPending = []string{"3111ms", "11311ms", "40m"}

// drawPending has the attempts of an action be pending outside, those up to the one of which the
// program says that they end so. Of unique keys it has none: what takes the place of what is not
// in the model.
func (o *order) drawPending(t *rapid.T) {
	if !o.Acts || o.Key != "" || rapid.Bool().Draw(t, "pends") {
		return
	}
	o.Do.Pends = rapid.SampledFrom(modelPending).Draw(t, "timeout of the end")
	if rapid.IntRange(0, 3).Draw(t, "pending") > 0 {
		o.Do.Ends = "pending" // else it only asks for a token
	}
}

// asked is a token that a handler was given.
type asked struct {
	run   *run
	token string
}

// ask asks for a token, if the program says so.
func ask(ctx *dispatch.ActionCtx, j *journal, r *run, p *program) {
	if p.Pends == "" {
		return
	}
	token, err := ctx.Pending(span(p.Pends))
	if err != nil {
		return
	}
	j.mu.Lock()
	j.asked = append(j.asked, &asked{r, token})
	j.mu.Unlock()
	j.note(event{what: "asked", run: r, answers: []string{token}})
}

// tokens are those that the handlers of the job were given, the latest last.
func (j *journal) tokens(app storage.AppID, id storage.JobID) (all []*asked) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.asked {
		if k.run.app == app && k.run.job.ID == id {
			all = append(all, k)
		}
	}
	return all
}

// pendingOutside is what a job is whose attempt goes on outside.
type pendingOutside struct {
	due   time.Time // what it was due at before
	token string
}

// said is how an attempt was said to end.
type said struct {
	result string // as JSON; "": it failed
	err    error
}

// outsideSays is what the commands say.
var outsideSays = map[string]said{
	"complete":       {result: `["from outside"]`},
	"fail-outside":   {err: dispatch.Errorf(dispatch.CodeUnavailable, "failed outside")},
	"fail-for-good":  {err: dispatch.Permanent(dispatch.Errorf(dispatch.CodeDataLoss, "failed outside for good"))},
	"complete-large": {result: `["` + strings.Repeat("y", 400) + `"]`},
}

// sayOutside is "complete APP JOB [former]", or that it fails.
func (g *generator) sayOutside(s *step) string {
	a := g.app(s)
	var fitting, any []string
	for _, j := range a.jobs {
		alias := g.player.Alias(j.id)
		switch {
		case alias == "" || len(g.tokens(a.id, j.id)) == 0:
		case j.outside != nil || j.state == storage.StateRunning:
			fitting = append(fitting, alias)
		default:
			any = append(any, alias)
		}
	}
	if len(fitting) == 0 || s.M < 20 {
		fitting = append(fitting, any...)
	}
	if len(fitting) == 0 {
		return ""
	}
	line := fmt.Sprintf("%s %s %s", s.Word, a.id, fitting[s.N%len(fitting)])
	if s.M%7 == 6 {
		line += " former"
	}
	return line
}

// sayOutside plays it.
func (x *history) sayOutside(l *line) string {
	app := x.h.App(storage.AppID(l.words[1]))
	tokens, nth := x.notes.tokens(storage.AppID(l.words[1]), l.id(l.words[2])), 1
	if len(l.words) > 3 {
		nth = 2
	}
	token := "bm8gdG9rZW4gb2YgYW55IGpvYiBvciBhdHRlbXB0"
	if len(tokens) >= nth {
		l.asked = tokens[len(tokens)-nth]
		token = l.asked.token
	}
	say := outsideSays[l.words[0]]
	var ok bool
	var err error
	if say.err == nil {
		ok, err = app.Complete(x.h.Context(), token, json.RawMessage(say.result))
	} else {
		ok, err = app.Fail(x.h.Context(), token, say.err)
	}
	l.done = time.Now()
	x.h.Settle()
	switch {
	case err != nil:
		return fmt.Sprintf("error: %s: %v", dispatch.AsError(err).Code, err)
	case ok:
		return "ended"
	}
	return "it had ended"
}

func beforeSayOutside(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	say, want := outsideSays[l.words[0]], "error: not_found"
	var j *job
	if l.asked != nil {
		j = a.own(l.asked.run)
	}
	switch {
	case j == nil:
	case j.state == storage.StateRunning && j.run == l.asked.run && l.asked.run.life == m.life:
		if want = "it had ended"; j.said == nil {
			want = "ended"
			a.touch(j)
			j.said = &say
		}
	case j.outside != nil && j.outside.token == l.asked.token:
		want = "ended"
		a.begin("end of " + j.name + " from outside")
		m.endOutside(a, j, say, l.at)
		a.end(true)
	case j.state.Ended() && j.token == l.asked.token:
		want = "it had ended"
	}
	if got := l.answer(); got != want {
		m.found("other", "%s: %q, want %q", l.text, l.printed, want)
	}
}

// leave is a handler that has returned and whose attempt goes on.
func (m *model) leave(a *app, j *job, r *run, at time.Time) {
	a.touch(j)
	j.outside = &pendingOutside{j.due, r.token}
	j.attempts, j.crashes, j.state, j.changedAt, j.readyAt = j.attempts+1, 0, storage.StatePending, at, at
	j.due = ceil(m.wall(at).Add(span(r.prog.Pends)))
}

// endOutside ends the attempt of a job as it was said: one that is pending outside, or whose
// handler has returned or was cut off.
func (m *model) endOutside(a *app, j *job, say said, at time.Time) {
	a.touch(j)
	m.outside++
	token := j.token
	if o := j.outside; o != nil {
		j.attempts, j.due, token = j.attempts-1, o.due, o.token // it counts already
	} else if j.run != nil {
		token = j.run.token
	}
	j.outside, j.said = nil, nil
	if say.err != nil {
		m.fail(a, j, say.err, at)
	} else {
		m.succeed(a, j, at, nil, say.result)
	}
	if j.token = token; j.state == storage.StatePending {
		j.token = ""
	}
}

// timesOut ends the attempts that have timed out by then.
func (m *model) timesOut(at time.Time) {
	for _, id := range modelApps {
		a := m.apps[id]
		if m.seen == nil || m.seen[id] == nil {
			continue
		}
		for _, j := range slices.Clone(a.jobs) {
			if j.outside == nil {
				continue
			}
			now := m.seen[id].of(j)
			if len(now.History) <= j.history {
				continue
			}
			e := now.History[j.history]
			ended, known := at.Add(e.EndedAt.Sub(m.wall(at))), true
			if m.peak.Add(modelBridged).After(e.EndedAt) && !m.wall(at).Before(j.due) { // it bears an instant that the wall has shown before
				known = false
				if ended = at.Add(j.due.Sub(m.wall(at))); ended.Before(m.steppedAt.Add(modelCheck)) {
					ended = at
				}
				if wait := j.waitAfterFailure(); wait > 0 && len(now.History) == j.history+1 && !now.PendingOutside() {
					ended = at.Add(now.Due.Add(-wait).Sub(m.wall(at))) // it was tried again, or will be
				}
			}
			if e.Number != j.attempts || e.Interrupted || e.Error.Code != string(dispatch.CodeDeadlineExceeded) || ended.After(at) {
				continue
			}
			if m.wall(at).Before(j.due) || m.peak.Before(e.EndedAt) && e.EndedAt.Before(j.due.Truncate(time.Millisecond)) {
				m.found("early", "app %s: job %s (%s) was to end from outside by %s, and has timed out at %s", id, j.id, j.name, j.due.Format(stamp), e.EndedAt.Format(stamp))
			}
			a.begin("timeout of " + j.name)
			m.endOutside(a, j, said{err: dispatch.Errorf(dispatch.CodeDeadlineExceeded, "timed out")}, ended)
			j.endedAt = time.Time{}
			a.end(true)
			if !known {
				ended = time.Time{}
			}
			m.tell(ended)
		}
	}
}

// compareOutside demands that the attempts that are due to time out have.
func (m *model) compareOutside(a *app, now time.Time) {
	for _, j := range a.jobs {
		late := m.wall(now).Sub(j.due) > modelAhead && !j.due.After(m.wall(m.openedAt))
		if j.outside != nil && late && a.free && a.freeSince.Before(now) && !a.paused["app"] && a.holder == nil && a.turnSince.Before(now) &&
			m.openedAt.Before(now) && !m.steppedAt.Add(modelCheck).After(now) {
			m.found("lost", "app %s: job %s (%s) was to end from outside by %s, and has not timed out", a.id, j.id, j.name, j.due.Format(stamp))
		}
		if stored := m.seen[a.id].of(j); stored.ID == j.id && stored.PendingOutside() != (j.outside != nil) {
			m.found("other", "app %s: job %s (%s) is pending outside: %t", a.id, j.id, j.name, stored.PendingOutside())
		}
	}
}

// isPending says whether the handler has returned that the end comes from outside.
func isPending(r *run, err error) bool { return r.token != "" && errors.Is(err, dispatch.ErrPending) }

// canceledOutside is a job that is canceled: the store has the token of an attempt that is pending
// outside, or was said to end.
func (j *job) canceledOutside() {
	if o := j.outside; o != nil {
		j.due, j.token = o.due, o.token
	} else if j.said != nil && j.run != nil {
		j.token = j.run.token
	}
	j.outside, j.said = nil, nil
}

// waitAfterFailure is how long the job waits when its next attempt fails; 0: not, or it is dead.
func (j *job) waitAfterFailure() time.Duration {
	policy := dispatch.DefaultRetry()
	if p, ok := j.order.retry(); ok {
		policy = p
	}
	wait, again := policy.Next(j.failures + 1)
	if !again || j.order.Once {
		return 0
	}
	return wait
}
