package model_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/actors"
	"carillon/storage"
)

// Each app is watched from the start, by one who is told of all jobs and one whose filter
// chooses some. The model predicts every durable event (G36): of each job which ones, in which
// order and at which instant, and that nothing else is told. A watch that was left goes on
// behind its position if what came since is in memory, and else begins again: after a restart
// or a crash always, and then what was told before and after are the beginning and the end of
// what the model predicts. Besides, the jobs that a watch knows are those that a listing has.

// modelKept is how long what came is kept without a watcher.
const modelKept = time.Minute

// modelFilters are what the second watch of each app chooses.
var modelFilters = map[storage.AppID][]storage.State{
	"acme": {storage.StateFailed},
	"bell": {storage.StatePending},
	"cope": {storage.StateSuccess, storage.StateHeld, storage.StateCanceled},
}

// heard is an event, and the instant at which a watch was told it.
type heard struct {
	actors.Event
	at  time.Time
	was storage.State // what the job was before; "" if it was not known
}

func (h heard) String() string {
	return fmt.Sprintf("%s %s %s %s (%s, seq %d) %s", h.at.Format(stamp), h.Kind, h.Job.ID, h.Job.State, h.Position, h.Job.Seq(), h.Reason)
}

// viewer watches an app.
type viewer struct {
	filter storage.JobFilter
	engine *actors.Engine // that it watches, or has watched last
	stop   context.CancelFunc

	mu   sync.Mutex
	told []heard
	over chan struct{} // closed when the watch has ended

	at    actors.Position // of the last event that has one
	jobs  map[uint64]storage.Job
	ready bool // the snapshot is complete
}

// watch begins the watch, or goes on with it.
func (v *viewer) watch(x *history, id storage.AppID) {
	ctx, stop := context.WithCancel(context.Background())
	v.engine, v.stop, v.over = x.h.Engine, stop, make(chan struct{})
	events := x.h.App(id).WatchAfter(ctx, v.filter, v.at)
	go func() {
		defer close(v.over)
		for e, err := range events {
			if err != nil {
				return
			}
			v.mu.Lock()
			v.told = append(v.told, heard{Event: e, at: time.Now()})
			v.mu.Unlock()
		}
	}()
}

// watches says whether the watch goes on.
func (v *viewer) watches() bool {
	if v.over == nil {
		return false
	}
	select {
	case <-v.over:
		return false
	default:
		return true
	}
}

// leave ends the watch.
func (v *viewer) leave() {
	if v.watches() {
		v.stop()
		<-v.over
	}
}

// hear takes what was told since the last time, into what the viewer knows of the jobs. what
// says what must not be.
func (v *viewer) hear() (told []heard, what string) {
	v.mu.Lock()
	told, v.told = v.told, nil
	v.mu.Unlock()
	for i := range told {
		h := &told[i]
		was, known := v.jobs[h.Job.Seq()]
		switch h.Kind {
		case actors.EventReset:
			v.jobs, v.ready, v.at = map[uint64]storage.Job{}, false, actors.Position{}
			continue
		case actors.EventJob:
			if known || v.ready {
				return told, fmt.Sprintf("%v, and it is known", h)
			}
			v.jobs[h.Job.Seq()] = h.Job
			continue
		case actors.EventReady:
			v.ready, v.at = true, h.Position
			continue
		case actors.EventStarted, actors.EventProgressed:
			if !h.Position.IsZero() {
				return told, fmt.Sprintf("%v has a position", h)
			}
			continue
		}
		if h.was = lasting(was.State); !v.ready || h.Position.Compare(v.at) <= 0 {
			return told, fmt.Sprintf("%v comes behind %s, ready %t", h, v.at, v.ready)
		}
		if v.at = h.Position; len(v.filter.States) > 0 {
			known = true // unless the filter did not choose it before
		}
		if known == (h.Kind == actors.EventScheduled) && len(v.filter.States) == 0 && h.Job.State == storage.StatePending {
			return told, fmt.Sprintf("%v, and it is known: %t", h, known)
		}
		if v.jobs[h.Job.Seq()] = h.Job; h.Kind == actors.EventPurged || h.Left {
			delete(v.jobs, h.Job.Seq())
		}
	}
	return told, ""
}

// lasting is the state as far as it is durable, to the eyes of those who watch.
func lasting(s storage.State) storage.State {
	if s == storage.StateRunning {
		return storage.StatePending
	}
	return s
}

// audience is who watches one app, and what the app's watch was told during a command.
type audience struct {
	all, some *viewer
	left      bool      // the watches were left, and not gone on with
	leftAt    time.Time // when
	keeps     bool      // they had been left before this command
	gap       bool      // what comes next cannot be without a snapshot
	seqs      map[string]uint64

	told   []heard
	resets int
	made   bool // the app was deleted or brought back
	begins bool // the model knows what is told only as far as beginning and end
}

func newAudience(id storage.AppID) *audience {
	return &audience{
		all: &viewer{}, some: &viewer{filter: storage.JobFilter{States: modelFilters[id]}}, seqs: map[string]uint64{},
	}
}

// unwatch is "unwatch APP", which leaves its watches, and rewatch goes on with them.
func (x *history) unwatch(l *line) {
	p := x.audiences[storage.AppID(l.words[1])]
	if l.words[0] == "rewatch" {
		if p.left && (p.all.engine != x.h.Engine || time.Since(p.leftAt) >= modelKept) {
			p.gap = true
		}
		p.left = false
		return
	}
	if !p.left {
		p.all.leave()
		p.some.leave()
		p.left, p.leftAt = true, time.Now()
	}
}

func (g *generator) unwatch(s *step) string {
	id := g.app(s).id
	if s.N%3 > 0 { // preferably one that was left
		for _, a := range modelApps {
			if p := g.m.audiences[a]; p != nil && p.left {
				return fmt.Sprintf("rewatch %s", a)
			}
		}
	}
	return fmt.Sprintf("unwatch %s", id)
}

// goOn has all watches go on that have ended with their engine.
func (x *history) goOn() {
	for _, id := range modelApps {
		if x.audiences[id] == nil {
			x.audiences[id] = newAudience(id)
			x.audiences[id].gap = true
		}
		p := x.audiences[id]
		for _, v := range []*viewer{p.all, p.some} {
			if !p.left && !v.watches() {
				p.gap = p.gap || v.engine != x.h.Engine
				v.watch(x, id)
			}
		}
	}
}

// hear takes in what the watches were told during the command, before the model is taken
// through it.
func (x *history) hear(l *line) {
	for _, id := range modelApps {
		p, m := x.audiences[id], x.m
		made := false
		for _, word := range []string{"delete-app " + string(id), "import " + string(id)} {
			made = made || strings.Contains(l.text, word)
		}
		if p.gap = p.gap || made && p.left; p.left {
			continue
		}
		told, bad := p.all.hear()
		some, worse := p.some.hear()
		for _, what := range []string{bad, worse} {
			if what != "" {
				m.found("other", "app %s: %s", id, what)
			}
		}
		p.told, p.resets, p.made = told, 0, made
		for _, h := range told {
			if h.Kind == actors.EventReset {
				p.resets++
			}
		}
		if p.begins = p.gap || made || strings.HasSuffix(l.printed, "crashed"); p.gap && p.resets == 0 || p.resets > 0 && !p.begins {
			m.found("other", "app %s: after %s its watch has begun anew %d times: %v", id, l.text, p.resets, told)
		}
		if !p.begins {
			p.compareSome(m, id, some)
		}
		p.gap = false
		m.begunAnew += p.resets
		p.compareJobs(m, id)
	}
}

// compareSome demands that those whose filter chooses some jobs are told what concerns these.
func (p *audience) compareSome(m *model, id storage.AppID, some []heard) {
	var want []string
	chosen := func(s storage.State) bool { return s != "" && slices.Contains(p.some.filter.States, s) }
	for _, h := range p.told {
		is := h.Job.State
		if h.Kind == actors.EventPurged {
			is = ""
		}
		if !h.Ephemeral() && (chosen(is) || chosen(h.was)) {
			want = append(want, fmt.Sprintf("%s %s %s left %t", h.Position, h.Kind, h.Job.ID, !chosen(is)))
		}
	}
	var got []string
	for _, h := range some {
		if !h.Ephemeral() {
			got = append(got, fmt.Sprintf("%s %s %s left %t", h.Position, h.Kind, h.Job.ID, h.Left))
		}
	}
	if !slices.Equal(got, want) {
		m.found("other", "app %s: those who watch %v were told\n\t%q, want\n\t%q", id, p.some.filter.States, got, want)
	}
}

// compareJobs demands that a watch knows the jobs that a listing has.
func (p *audience) compareJobs(m *model, id storage.AppID) {
	lines := map[uint64]string{}
	for _, job := range m.seen[id].all {
		lines[job.Seq()] = briefOf(&job)
	}
	for seq, job := range p.all.jobs {
		if got := briefOf(&job); got != lines[seq] {
			m.found("other", "app %s: a watch knows\n\t%s, and there is\n\t%s", id, got, lines[seq])
			return
		}
	}
	if len(p.all.jobs) != len(lines) {
		m.found("lost", "app %s: a watch knows %d jobs of %d", id, len(p.all.jobs), len(lines))
	}
}

// briefOf is what is compared of a job that a watch knows.
func briefOf(job *storage.Job) string {
	attempts := job.Attempts
	if job.State == storage.StateRunning {
		attempts--
	}
	code := ""
	if job.Error != nil {
		code = job.Error.Code
	}
	ended := job.CompletedAt.UTC().Format(stamp)
	return fmt.Sprintf("%s %s %s due %s attempts %d failures %d priority %d pool %s/%s parent %s code %q ended %s", job.ID, job.Function, lasting(job.State),
		job.Due.UTC().Format(stamp), attempts, job.Failures, job.Priority, job.Pool, job.PoolKey, job.Parent, code, ended)
}

// tell is an event that the model predicts.
type tell struct {
	kind    actors.EventKind
	at      time.Time // zero: it is not known
	was, is durable
}

// durable is what of a job an event is told of.
type durable struct {
	state             storage.State // "": there is no such job
	due, scheduledFor time.Time
	priority          int
	attempts, history int
	moves             int
	outside, answered bool
}

func (j *job) durable() durable {
	return durable{lasting(j.state), j.due, j.scheduledFor, j.order.Priority, j.attempts, j.history, j.moves, j.outside != nil, j.said != nil}
}

// kindOf is what those who watch are told of the change.
func kindOf(was, is durable) actors.EventKind {
	switch {
	case is.state == "":
		return actors.EventPurged
	case is.state == storage.StatePending:
		switch {
		case was.state == "":
			return actors.EventScheduled
		case was.state == storage.StateHeld:
			return actors.EventReleased
		case was.state == storage.StateFailed, was.outside && !is.outside, was.attempts != is.attempts && !is.outside:
			return actors.EventRetried
		case is.outside:
			return actors.EventOutside
		case is.answered:
			return actors.EventAnswered
		}
		return actors.EventRescheduled
	case is.state == was.state:
		return actors.EventCorrected
	case is.state == storage.StateHeld:
		return actors.EventHeld
	case is.state == storage.StateCanceled:
		return actors.EventCanceled
	case is.state == storage.StateExpired:
		return actors.EventExpired
	}
	return actors.EventEnded
}

// tell notes what those who watch must be told of what has just become of the jobs.
func (m *model) tell(at time.Time) {
	for _, id := range modelApps {
		a := m.apps[id]
		for _, j := range a.jobs {
			if j.gone {
				j.gone, j.tells = false, j.tells[:len(j.tells)-1]
				j.shown = j.durable()
			}
			if j.shown.state == "" {
				a.shown = append(a.shown, j)
			}
			j.tell(at)
		}
		for _, j := range a.shown {
			if !j.gone && !slices.Contains(a.jobs, j) {
				j.gone = true
				j.tells = append(slices.Clip(j.tells), tell{actors.EventPurged, at, j.shown, durable{}})
			}
		}
	}
}

// tell is that of one job.
func (j *job) tell(at time.Time) {
	if is := j.durable(); is != j.shown {
		if j.shown.state == "" && j.told != nil && j.told.state == storage.StateExpired {
			at = time.Time{} // as the end of which it is told
		}
		j.tells = append(slices.Clip(j.tells), tell{kindOf(j.shown, is), at, j.shown, is})
		j.shown = is
	}
}

// heldFirst notes that the job, of which the model did not know it yet, was held.
func (m *model) heldFirst(j *job, at time.Time) {
	if j.state == storage.StatePending && j.shown.state != "" && m.mayBeHeld(j, at) {
		state := j.state
		j.state = storage.StateHeld
		j.tell(time.Time{})
		j.state = state
	}
}

// untold forgets what was predicted before the command, unless those who have left may yet be
// told it.
func (m *model) untold() {
	for _, id := range modelApps {
		a := m.apps[id]
		if p := m.audiences[id]; p != nil && p.keeps && !p.gap {
			continue
		}
		for _, j := range a.shown {
			j.tells = nil
		}
		a.shown = slices.DeleteFunc(a.shown, func(j *job) bool { return j.gone })
	}
}

// compareEvents demands that those who watch were told what the model predicts.
func (m *model) compareEvents(a *app) {
	p := m.audiences[a.id]
	if p == nil || p.left || p.made {
		return
	}
	before, after := map[uint64][]heard{}, map[uint64][]heard{}
	into := before
	for _, h := range p.told {
		switch h.Kind {
		case actors.EventReset:
			into = after
			clear(after)
		case actors.EventJob, actors.EventReady, actors.EventStarted, actors.EventProgressed:
		default:
			into[h.Job.Seq()] = append(into[h.Job.Seq()], h)
		}
	}
	names := map[string]int{}
	for _, j := range a.shown {
		names[keyOf(j.id, j.name)]++
	}
	known := map[uint64]bool{}
	order := map[actors.Position]time.Time{}
	for _, j := range a.shown {
		seq := p.seqs[keyOf(j.id, j.name)]
		known[seq] = true
		if j.unmade || names[keyOf(j.id, j.name)] > 1 {
			continue
		}
		m.compareTells(a, j, before[seq], after[seq], p, order)
	}
	for _, h := range p.told {
		if names[keyOf(h.Job.ID, nameOf(&h.Job))] > 1 {
			continue // one of several, of which no seq is known
		}
		if seq := h.Job.Seq(); seq != 0 && !known[seq] && h.Job.Slot.IsZero() && !p.begins && !h.Ephemeral() {
			m.found("doubled", "app %s: those who watch were told %v, of which the model knows nothing", a.id, h)
		}
	}
	var last time.Time
	for _, h := range p.told {
		at := order[h.Position]
		switch {
		case at.IsZero() || h.Position.IsZero():
		case at.Before(last):
			m.found("other", "app %s: %v is told behind what came at %s", a.id, h, last.Format(stamp))
		default:
			last = at
		}
	}
}

func keyOf(id storage.JobID, name string) string { return string(id) + " " + name }

// compareTells does so for one job.
func (m *model) compareTells(a *app, j *job, before, after []heard, p *audience, order map[actors.Position]time.Time) {
	want := j.tells
	if !j.slot.IsZero() {
		before, after, want = ofTick(before), ofTick(after), slices.Clone(want)
		want = slices.DeleteFunc(want, func(t tell) bool { return comesAndGoes(t.kind) })
	}
	if j.mayHold {
		before, after = j.withoutHold(before), j.withoutHold(after)
	}
	if p.begins {
		if len(before)+len(after) > len(want) || !isTold(before, want[:min(len(before), len(want))]) || !isTold(after, want[max(len(want)-len(after), 0):]) {
			m.found("other", "app %s: of job %s (%s) was told %v, and again %v, want %v", a.id, j.id, j.name, before, after, want)
		}
		return
	}
	if len(before) != len(want) || !isTold(before, want) {
		m.found("lost", "app %s: of job %s (%s) was told %v, want %v", a.id, j.id, j.name, before, want)
		return
	}
	m.told += len(before)
	for i, h := range before {
		if order[h.Position] = want[i].at; !want[i].at.IsZero() && !p.keeps && !h.at.Equal(want[i].at) {
			m.found("other", "app %s: of job %s (%s) was told %v, want it at %s", a.id, j.id, j.name, h, want[i].at.Format(stamp))
		}
	}
}

// withoutHold leaves out that the job was held right before it expired.
func (j *job) withoutHold(told []heard) []heard {
	if n := len(told); n > 1 && told[n-1].Kind == actors.EventExpired && told[n-2].Kind == actors.EventHeld {
		return append(slices.Clone(told[:n-2]), told[n-1])
	}
	return told
}

// isTold says whether the events are what was predicted.
func isTold(told []heard, want []tell) bool {
	return slices.EqualFunc(told, want, func(h heard, t tell) bool {
		return h.Kind == t.kind && (t.kind == actors.EventPurged || lasting(h.Job.State) == t.is.state && h.Job.Due.Equal(t.is.due))
	})
}

// comesAndGoes says whether the model does not know when that happens to a tick: it comes to be
// with the one before, and goes if it is skipped.
func comesAndGoes(kind actors.EventKind) bool {
	return kind == actors.EventScheduled || kind == actors.EventPurged
}

// ofTick are the events of a tick of which the model knows.
func ofTick(told []heard) []heard {
	return slices.DeleteFunc(slices.Clone(told), func(h heard) bool { return comesAndGoes(h.Kind) })
}
