package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"carillon/dispatch"
	"carillon/storage"
)

// A job may have a follow-up, and that one another: it is there in the commit that ends the job,
// whatever way that ends, with an ordinal for each end, and is told how (G32). Its id the model
// learns from what is there; that there is none is wrong.

// thenSuffix is what a follow-up's program is called behind the name of the one before.
const thenSuffix = "~then"

// drawThen draws a follow-up, or none. It has no options, and its program does little.
func drawThen(t *rapid.T, depth int) *order {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "then") < 3 {
		return nil
	}
	o := &order{Acts: rapid.Bool().Draw(t, "acts")}
	o.Do = program{Takes: rapid.SampledFrom(modelTakes).Draw(t, "takes"), Ends: rapid.SampledFrom(modelEnds).Draw(t, "ends")}
	if !o.Acts && rapid.Bool().Draw(t, "counts") {
		o.Do.Does = []op{{Count: "a"}}
	}
	o.Then = drawThen(t, depth-1)
	return o
}

// thenOptions are the follow-up of the order whose program has the name, as options.
func (o *order) thenOptions(name string) []dispatch.RunOption {
	if o.Then == nil {
		return nil
	}
	prog := o.Then.Do
	prog.Name = name + thenSuffix
	return []dispatch.RunOption{dispatch.OnDone(dispatch.Path(o.Then.path()).With(prog), o.Then.thenOptions(prog.Name)...)}
}

// thenWord is the same in a script, which knows of one follow-up.
func (o *order) thenWord(name string) string {
	if o.Then == nil {
		return ""
	}
	prog := o.Then.Do
	prog.Name = name + thenSuffix
	text, err := json.Marshal(prog)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(" on-done=%s,%s", o.Then.path(), text)
}

// thenIn reads that word.
func thenIn(value string) *order {
	path, text, _ := strings.Cut(value, ",")
	return &order{Acts: path == modelAct.Path(), Do: programIn(text)}
}

// unknownThen says whether the engine's program lacks the function of a follow-up.
func (m *model) unknownThen(o *order) bool {
	return o.Then != nil && (m.unknown(o.Then.path()) != "" || m.unknownThen(o.Then))
}

// told is what a follow-up must be told.
type told struct {
	job     storage.JobID
	of      string // the name of its program
	state   storage.State
	ordinal int
	code    dispatch.Code
	result  string
}

// over takes in the follow-up of a job that has just come to its end. The job is changed: a.touch.
func (m *model) over(a *app, j *job, at time.Time) {
	j.forgets()
	m.leavesGroup(a, j, at)
	if j.order.Then == nil {
		return
	}
	j.ends++
	f := newJob(j.order.Then, "", j.called()+thenSuffix, time.Time{}, at)
	f.parent, f.told = j.id, &told{j.id, j.name, j.state, j.ends, j.code, ""}
	if j.state == storage.StateSuccess {
		f.told.code = ""
		f.told.result, _ = j.kept()
	}
	seen := m.seen[a.id]
	i := slices.IndexFunc(seen.all, func(stored storage.Job) bool {
		known := func(k *job) bool { return k.id == stored.ID && k.name == f.name }
		return f.follows(&stored) && !slices.ContainsFunc(a.jobs, known)
	})
	if i < 0 {
		j.widowed = true
		return
	}
	f.id = seen.all[i].ID
	f.scheduledFor = seen.all[i].ScheduledFor.UTC()
	f.due = f.scheduledFor
	m.cutOff(a, f)
	a.add(f)
}

// follows says whether the record is the follow-up of that end.
func (j *job) follows(job *storage.Job) bool {
	o := job.Outcome
	return o != nil && o.Job == j.told.job && o.Ordinal == j.told.ordinal && nameOf(job) == j.name
}

// notOver takes a follow-up back of an end that was none.
func (a *app) notOver(j *job) {
	for _, f := range slices.Clone(a.jobs) {
		if f.told == nil || f.told.of != j.name || f.told.job != j.id || f.told.ordinal != j.ends {
			continue
		}
		a.drop(f)
		f.unmade = true
		a.undoing(func() { a.jobs, f.unmade = append(a.jobs, f), false })
	}
}

// expiredFirst takes in the end of a job that was too late, whose follow-up has begun.
func (m *model) expiredFirst(a *app, r *run, at time.Time) {
	if of := r.job.GroupOutcome; of != nil {
		for _, j := range slices.Clone(a.jobs) {
			if j.group == of.Group && m.tooLate(j, at) && m.seen[a.id].of(j).State == storage.StateExpired {
				m.expired(a, j, at)
			}
		}
	}
	o := r.job.Outcome
	if o == nil || o.State != storage.StateExpired {
		return
	}
	for _, j := range slices.Clone(a.jobs) {
		if j.id == o.Job && j.called()+thenSuffix == r.prog.Name && m.tooLate(j, at) {
			m.expired(a, j, at)
		}
	}
}

// expired is a job that has.
func (m *model) expired(a *app, j *job, at time.Time) {
	j.mayHold = j.state == storage.StatePending && m.mayBeHeld(j, at)
	j.state, j.changedAt, j.endedAt = storage.StateExpired, at, time.Time{}
	if j.shown.state != "" {
		j.tell(time.Time{}) // it may have expired before
	}
	m.over(a, j, at)
}

// startedFollowing demands that a follow-up is told how the job has ended.
func (m *model) startedFollowing(j *job, r *run) {
	o := r.job.Outcome
	if j.told == nil || o == nil {
		if (j.told == nil) != (o == nil) {
			m.found("other", "job %s (%s) was told %+v, want %+v", j.id, j.name, o, j.told)
		}
		return
	}
	got := toldBy(o)
	if got.of = j.told.of; got != *j.told {
		m.found("other", "job %s (%s) was told %+v, want %+v", j.id, j.name, got, *j.told)
	}
}

// toldBy is what it was told.
func toldBy(o *storage.Outcome) told {
	t := told{job: o.Job, state: o.State, ordinal: o.Ordinal, result: string(o.Result)}
	if o.Error != nil {
		t.code = dispatch.Code(o.Error.Code)
	}
	return t
}

// compareChains demands that each end of a job has its follow-up, and of each job that its
// parent is the one whose handler has scheduled it, or that it follows.
func (m *model) compareChains(a *app) {
	seen := m.seen[a.id]
	for _, j := range a.jobs {
		job := seen.of(j)
		if job.ID != j.id {
			continue // compareJobs tells
		}
		switch o := job.Outcome; {
		case j.widowed:
			m.found("lost", "app %s: job %s (%s) is %s, and has no follow-up", a.id, j.id, j.name, j.state)
		case j.order.Then != nil && job.Ends != j.ends:
			m.found("other", "app %s: job %s (%s) has ended %d times, want %d", a.id, j.id, j.name, job.Ends, j.ends)
		case job.Parent != j.parent && j.trigger == "":
			m.found("other", "app %s: job %s (%s) has the parent %q, want %q", a.id, j.id, j.name, job.Parent, j.parent)
		case j.told != nil && (o == nil || o.State != j.told.state):
			m.found("other", "app %s: job %s (%s) was told %+v, want %+v", a.id, j.id, j.name, o, j.told)
		}
	}
}
