package model_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// An app, a function, a pool or a key of one may be paused: nothing of it begins until the
// resume, and what is due begins then (G35). A pool may be given another limit meanwhile. An
// app with triggers is not paused here, and one that is paused gets none: what becomes of
// their slots is not in the model.

// modelScopes are what is paused, as in scripts.
var modelScopes = []string{"app", "function=model:act", "pool=one", "pool=rated", "pool=line", "pool=user", "pool=user/a"}

// pauses says whether the scope has the job wait.
func pauses(scope string, j *job) bool {
	kind, name, _ := strings.Cut(scope, "=")
	switch kind {
	case "app":
		return true
	case "function":
		return j.path == name
	}
	pool, _, _ := strings.Cut(j.order.Pool, "/")
	return name == j.order.Pool || name == pool && pool != ""
}

// paused says whether the job waits for a resume.
func (a *app) waitsForResume(j *job) bool {
	for scope := range a.paused {
		if pauses(scope, j) {
			return true
		}
	}
	return false
}

// limit is how many attempts of the lane may run at once.
func (a *app) limit(name string) int {
	pool, _, _ := strings.Cut(name, "/")
	if n, ok := a.poolLimits[pool]; ok {
		return n
	}
	return modelLanes[name]
}

// pauseWork is "pause-work APP SCOPE WHO" or "resume-work APP SCOPE".
func (g *generator) pauseWork(s *step) string {
	a := g.app(s)
	scope := modelScopes[s.N%len(modelScopes)]
	switch {
	case s.Word == "resume-work":
		for _, paused := range modelScopes { // preferably one that is
			if a.paused[paused] && s.M%4 > 0 {
				scope = paused
			}
		}
		return fmt.Sprintf("resume-work %s %s", a.id, scope)
	case scope == "app" && (len(a.triggers) > 0 || g.m.declares[a.id] != nil):
		return ""
	}
	return fmt.Sprintf("pause-work %s %s ann", a.id, scope)
}

func beforePauseWork(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	scope, was := l.words[2], a.paused[l.words[2]]
	_, path, _ := strings.Cut(scope, "=")
	code, failed := l.failed()
	switch want := fmt.Sprintf("resumed %t", was); {
	case l.words[0] == "resume-work" && l.printed == want, l.words[0] == "pause-work" && l.printed == "":
	case l.words[0] == "pause-work" && failed && code == dispatch.CodeInvalidArgument && m.unknown(path) != "":
		return
	default:
		m.found("other", "%s: %q, and it was paused: %t", l.text, l.printed, was)
	}
	a.paused = maps.Clone(a.paused)
	if a.paused == nil {
		a.paused = map[string]bool{}
	}
	if a.paused[scope] = true; l.words[0] == "resume-work" {
		delete(a.paused, scope)
		for _, j := range a.jobs {
			if was && pauses(scope, j) {
				j.readyAt = l.at
			}
		}
	}
}

// limitPool is "limit-pool APP POOL N".
func (g *generator) limitPool(s *step) string {
	return fmt.Sprintf("limit-pool %s %s %d", g.app(s).id, []string{"one", "two", "user"}[s.N%3], s.M%4)
}

func beforeLimitPool(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	n, _ := strconv.Atoi(l.words[3])
	_, had := a.poolLimits[l.words[2]]
	if want := fmt.Sprintf("cleared %t", had); n == 0 && l.printed != want || n > 0 && l.printed != "" {
		m.found("other", "%s: %q", l.text, l.printed)
	}
	a.poolLimits = maps.Clone(a.poolLimits)
	if a.poolLimits == nil {
		a.poolLimits = map[string]int{}
	}
	if a.poolLimits[l.words[2]] = n; n == 0 {
		delete(a.poolLimits, l.words[2])
	}
	m.refresh(l.at)
}

// comparePauses compares what is paused, and the limits of pools.
func (m *model) comparePauses(a *app) {
	seen := m.seen[a.id]
	paused := map[string]bool{}
	for _, p := range seen.pauses {
		scope := "app"
		switch of := p.Of; {
		case of.Function != "":
			scope = "function=" + of.Function
		case of.Pool != "":
			scope = strings.TrimSuffix("pool="+of.Pool+"/"+of.PoolKey, "/")
		}
		paused[scope] = true
	}
	if !maps.Equal(paused, a.paused) {
		m.found("lost", "app %s has paused %v, want %v", a.id, paused, a.paused)
	}
	if !maps.Equal(seen.limits, a.poolLimits) {
		m.found("lost", "app %s has the limits %v, want %v", a.id, seen.limits, a.poolLimits)
	}
}

// What follows is of pools with an order, and with a rate (G27, G28).

// modelRate is how many attempts of the pool with a rate may begin in each modelSpan.
const (
	modelRate = 2
	modelSpan = 4 * time.Second
)

// inTurn demands that of an ordered pool nothing begins while a job that has its turn, or
// comes before, has not ended.
func (m *model) inTurn(a *app, j *job, h event) {
	if j.order.Pool != "line" {
		return
	}
	for _, k := range a.jobs {
		if k == j || k.order.Pool != j.order.Pool || k.state.Ended() || !k.addedAt.Before(h.at) || m.tooLate(k, h.at) {
			continue
		}
		before, known := k.before(j)
		if k.attempts > 0 || j.attempts == 0 && before && known && !k.due.After(h.wall) {
			m.found("other", "job %s (%s) began before %s (%s), whose turn is before, and which is %s after %d attempts", j.id, j.name, k.id, k.name, k.state, k.attempts)
		}
	}
}

// inRate demands that no more attempts of the pool begin in any span than its rate.
func (m *model) inRate(a *app, j *job, at time.Time) {
	if j.order.Pool != "rated" {
		return
	}
	recent := []time.Time{at}
	for _, t := range a.starts {
		if at.Sub(t) < modelSpan {
			recent = append(recent, t)
		}
	}
	if a.starts = recent; len(recent) > modelRate {
		m.found("other", "job %s (%s) began as the %d. of its pool within %v: %v", j.id, j.name, len(recent), modelSpan, recent)
	}
}

// turnOrRate is when the job's pool lets it begin at the latest; ok is false if that is not
// known.
func (m *model) turnOrRate(a *app, j *job) (at time.Time, ok bool) {
	switch j.order.Pool {
	case "rated":
		at = m.openedAt.Add(modelSpan)
		for _, t := range a.starts {
			if t = t.Add(modelSpan); t.After(at) {
				at = t
			}
		}
	case "line":
		for _, k := range a.jobs {
			switch {
			case k == j || k.order.Pool != j.order.Pool:
			case !k.state.Ended():
				return at, false
			case k.changedAt.After(at):
				at = k.changedAt
			}
		}
	}
	return at, true
}

var (
	linePool  = dispatch.NewPool("line", 1, dispatch.Ordered())
	ratedPool = dispatch.NewPool("rated", 2, dispatch.Rate(modelRate, modelSpan))
)

// pausesOf is what the engine shows of both.
func (s *sight) pausesOf(r storage.Reader) (err error) {
	if s.pauses, err = r.System().Pauses(); err != nil {
		return err
	}
	s.limits, err = r.System().PoolLimits()
	return err
}
