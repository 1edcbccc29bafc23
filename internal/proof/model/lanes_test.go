package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"carillon/dispatch"
	"carillon/storage"
)

// Jobs may be in a pool, or a key of one, have a priority, and be the only one of a key
// (G27, G29, G31); some are scheduled in one batch (G30). No more attempts of a lane run at
// once than its pool has permits, and one that is due begins when one is free; a crash cuts
// off no more of a lane than that. A priority changes none of all that the model knows.

// modelPools are the pools of every engine.
var modelPools = []*dispatch.Pool{dispatch.NewPool("one", 1), dispatch.NewPool("two", 2), dispatch.NewPool("user", 1), linePool, ratedPool}

// modelLanes are the lanes that jobs are in, with their limits.
var modelLanes = map[string]int{"one": 1, "two": 2, "user/a": 1, "user/b": 1, "line": 1, "rated": 2}

// lane is what an app's model knows of one.
type lane struct {
	free  bool // a permit is left
	since time.Time
}

// drawPlace draws where the order's job waits, and its key.
func (o *order) drawPlace(t *rapid.T) {
	o.Pool = rapid.SampledFrom([]string{"", "", "", "one", "two", "user/a", "user/b", "line", "rated"}).Draw(t, "pool")
	o.Priority = rapid.SampledFrom([]int{0, 0, 0, 1, 3, 4}).Draw(t, "priority")
	if o.ID == "" {
		o.Key = rapid.SampledFrom([]string{"", "", "", "k,keep", "k,refuse", "l,keep", "n,replace", "n,replace", "n,replace,wait=1113ms", "n,keep"}).Draw(t, "key")
	}
}

// placeWords are the order's words in a script.
func (o *order) placeWords() (line string) {
	if o.Pool != "" {
		line += " pool=" + o.Pool
	}
	if o.Priority != 0 {
		line += " priority=" + strconv.Itoa(o.Priority)
	}
	if o.Key != "" {
		line += " unique=" + o.Key
	}
	if o.Last != "" {
		line += " not-after=" + o.Last
	}
	return line
}

// placeOptions are the same as options.
func (o *order) placeOptions() (opts []dispatch.RunOption) {
	name, key, keyed := strings.Cut(o.Pool, "/")
	for _, p := range modelPools {
		switch {
		case p.Name() == name && keyed:
			opts = append(opts, dispatch.InPool(p, key))
		case p.Name() == name:
			opts = append(opts, dispatch.InPool(p))
		}
	}
	if o.Priority != 0 {
		opts = append(opts, dispatch.Priority(o.Priority))
	}
	if o.Key != "" {
		policy := dispatch.Keep()
		switch {
		case o.refuses():
			policy = dispatch.Refuse()
		case o.replaces():
			if policy = dispatch.Replace(); strings.Contains(o.Key, ",wait=") {
				policy = policy.MaxWait(o.maxWait())
			}
		}
		opts = append(opts, dispatch.Unique(o.key(), policy))
	}
	if o.Child != "" {
		opts = append(opts, dispatch.Once(o.Child))
	}
	return opts
}

func (o *order) key() string {
	key, _, _ := strings.Cut(o.Key, ",")
	return key
}

// toldID is the id in what was printed of a call that was scheduled.
func toldID(printed string) string {
	id, _, _ := strings.Cut(printed, " ")
	return id
}

func (o *order) refuses() bool { return strings.HasSuffix(o.Key, ",refuse") }

// placeText is what of a job's place is compared: of ticks nothing.
func placeText(trigger, pool string, priority int, key string) string {
	if trigger != "" {
		return "tick"
	}
	if priority == 0 {
		priority = storage.DefaultPriority
	}
	return fmt.Sprintf("pool %q priority %d key %q", pool, priority, key)
}

// placed gives the order what the engine shows of the job's place.
func (o *order) placed(job *storage.Job) {
	o.Pool, o.Priority = job.Pool, job.Priority
	if job.PoolKey != "" {
		o.Pool += "/" + job.PoolKey
	}
	if job.Unique != nil {
		o.Key = job.Unique.Key
	}
}

// inLane is how many runs of the lane hold a slot.
func (m *model) inLane(a *app, name string) (n int) {
	for _, r := range m.runs {
		if r.app == a.id && r.pool == name {
			n++
		}
	}
	return n
}

// lanesAt notes since when the lanes have a permit left.
func (m *model) lanesAt(a *app, at time.Time) {
	for name := range modelLanes {
		l := a.lanes[name]
		if free := m.inLane(a, name) < a.limit(name); free != l.free {
			a.lanes = maps.Clone(a.lanes)
			if a.lanes == nil {
				a.lanes = map[string]lane{}
			}
			a.lanes[name] = lane{free, at}
		}
	}
}

// startedInLane says whether a job of a lane, or of a key, may begin.
func (m *model) startedInLane(a *app, j *job, r *run) {
	if r.pool = j.order.Pool; r.pool != "" {
		if n := m.inLane(a, r.pool); n >= a.limit(r.pool) {
			m.found("other", "job %s (%s) began though %d of %d jobs of the lane %s were running", j.id, j.name, n, a.limit(r.pool), r.pool)
		}
	}
	if r.key = j.uniqueKey(); r.key == "" {
		return
	}
	for _, other := range m.runs {
		if other.app == a.id && other.key == r.key && (other.acts || !other.over) && other.job.ID != j.id {
			m.found("doubled", "job %s (%s) began beside job %s, of the same key", j.id, j.name, other.job.ID)
		}
	}
}

// rank orders the jobs that are due and wait for a permit of the app.
func (j *job) rank() time.Time {
	priority := j.order.Priority
	if priority == 0 {
		priority = storage.DefaultPriority
	}
	return j.due.Add(time.Duration(priority) * storage.PriorityStep)
}

// inRank demands that no action of the app with a lower rank still waits for a permit, though
// it could have been claimed before (G31). When mutations begin says nothing of that: they
// have waited for the turn since they got theirs.
func (m *model) inRank(a *app, j *job, h event) {
	waits := func(k *job) bool {
		return k.acts() && k.trigger == "" && k.order.Pool == "" && k.order.Key == ""
	}
	if !waits(j) || !a.turnSince.Before(h.at) || a.holder != nil || m.steppedAt.Add(modelCheck).After(h.at) || !m.openedAt.Before(h.at) {
		return
	}
	for _, k := range a.jobs {
		due := k.due.Add(-m.step) // the bubble's
		if k == j || k.state != storage.StatePending || !waits(k) || k.crashes >= 2 || m.leaves(a, k) || m.mayBeHeld(k, h.at) || a.waitsForResume(k) || m.tooLate(k, h.at) {
			continue
		}
		if !k.addedAt.Before(h.at) || !k.readyAt.Before(h.at) || !due.Before(h.at) || !k.rank().Before(j.rank()) {
			continue
		}
		m.found("other", "job %s (%s) began before %s (%s), whose rank is lower", j.id, j.name, k.id, k.name)
	}
}

// uniqueKey is the key among all of the app, or "".
func (j *job) uniqueKey() string {
	if j.order.Key == "" {
		return ""
	}
	return j.path + " " + j.order.key()
}

// keyBusy says whether the job may have to wait for a handler that had its key before.
func (m *model) keyBusy(a *app, j *job) bool {
	key := j.uniqueKey()
	return key != "" && slices.ContainsFunc(slices.Concat(m.runs, m.left), func(r *run) bool {
		return r.app == a.id && r.key == key && r.job.ID != j.id
	})
}

// holder is the job that has the key: it has not ended. sure says that it had it all the
// time of this moment.
func (m *model) keyHolder(a *app, o *order, at time.Time) (holder *job, sure bool) {
	key := o.path() + " " + o.key()
	for _, j := range slices.Backward(a.jobs) {
		if j.uniqueKey() != key {
			continue
		}
		switch {
		case m.tooLate(j, at):
			holder = j // it may have expired
		case !j.state.Ended():
			return j, holder == nil && !j.changedAt.Equal(at)
		case j.changedAt.Equal(at) && holder == nil:
			holder = j // it may not have ended yet
		}
	}
	return holder, false
}

// keyRefusal is why an order must be refused for its key; decided says that nothing else
// of it is looked at.
func (m *model) keyRefusal(a *app, o *order, at time.Time) (code dispatch.Code, maybe, decided bool) {
	if o.Key == "" {
		return "", false, false
	}
	holder, sure := m.keyHolder(a, o, at)
	switch {
	case holder != nil && o.refuses():
		return dispatch.CodeAlreadyExists, !sure, true
	case holder != nil && o.replaces() && holder.state == storage.StateRunning:
		return "", !sure, false
	case holder != nil && o.replaces():
		return "", !sure || !holder.due.After(m.wall(at)), true
	case holder != nil:
		return "", !sure, true
	}
	return "", o.refuses() && m.keyBusy(a, &job{path: o.path(), order: *o}), false
}

// keptBy is the job that was there, if the answer to the order names it.
func (m *model) keptBy(a *app, by *run, o *order, name string, id storage.JobID, h event) (j *job, kept bool) {
	if o.Key == "" {
		return nil, false
	}
	holder, sure := m.keyHolder(a, o, h.at)
	if j = a.job(id); j == nil {
		if sure && o.replaces() { // it may have begun, or is on its way to its handler
			sure = holder.state == storage.StateHeld || holder.state == storage.StatePending && holder.due.After(m.wall(h.at))
		}
		if holder != nil && sure {
			m.found("doubled", "%s was scheduled as job %s, and job %s (%s) has its key", name, id, holder.id, holder.name)
		}
		return nil, false
	}
	if holder == nil {
		m.found("other", "%s was answered with job %s (%s), which is %s and has no key", name, id, j.name, j.state)
	}
	if !o.replaces() {
		return j, true
	}
	if j.state == storage.StateRunning || j.state.Ended() && !m.tooLate(j, h.at) {
		m.found("other", "%s took the place of job %s (%s), which is %s", name, id, j.name, j.state)
	}
	m.replace(a, by, j, o, name, h)
	return nil, true
}

// keyTaken says whether a dead job cannot be tried again, since another one has its key, or
// may have.
func (m *model) keyTaken(a *app, j *job, at time.Time) bool {
	if j.order.Key == "" {
		return false
	}
	holder, _ := m.keyHolder(a, &j.order, at)
	return holder != nil || m.keyBusy(a, j)
}

// cutOffInLanes demands that a crash has cut off no more jobs of a lane than run at once:
// those that wait for it are not claimed.
func (m *model) cutOffInLanes(a *app, cutOff []*job) {
	of := map[string]int{}
	for _, j := range cutOff {
		name := j.order.Pool
		most := max(a.limit(name), m.inLane(a, name)) // the limit may have been lowered since they began
		if of[name]++; name != "" && of[name] > most {
			m.found("other", "app %s: a crash has cut off %d jobs of the lane %s, of %d", a.id, of[name], name, most)
		}
	}
}

// scheduleMany is a batch of two: the step's order, and one that comes at another
// instant.
func (g *generator) scheduleMany(s *step) string {
	first := strings.SplitN(g.schedule(s), " ", 3)
	second := *s
	second.Order.After, second.Order.Last, second.Order.Do.Takes = modelDelays[s.M%len(modelDelays)], "", "" // it ends at another moment
	if second.Order.ID != "" {
		second.Order.ID = []string{"", "id1", "id2"}[s.N%3]
	}
	return fmt.Sprintf("schedule-many %s %s ; %s", first[1], first[2], strings.SplitN(g.schedule(&second), " ", 3)[2])
}

// beforeScheduleMany: all of a batch is stored, or nothing.
func beforeScheduleMany(m *model, l *line) {
	a := l.app(m)
	a.touched = l.at
	h := event{at: l.at, wall: m.wall(l.began)}
	r := hostRun(a, l)
	code, failed := l.failed()
	ids := strings.Split(l.printed, "\n")
	c := a.begin("batch")
	var made []*job
	refused, maybe := dispatch.Code(""), false
	for i, part := range strings.Split(l.rest(2), " ; ") {
		text := fmt.Sprintf("schedule %s %s", a.id, part)
		o := orderIn(&line{text: text, words: strings.Fields(text)})
		want, open := m.refusal(a, r, o, h.at)
		if maybe = maybe || open; want != "" && refused == "" {
			refused = want
		}
		if failed { // as if it were stored, for those after it
			if want == "" {
				j := newJob(o, storage.JobID(o.ID), o.Do.Name, ceil(h.wall.Add(span(o.After))), h.at)
				a.add(j)
			}
			continue
		}
		if i >= len(ids) {
			m.found("lost", "%s: %q", l.text, l.printed)
			break
		}
		id := l.id(toldID(ids[i]))
		if j := m.order(a, r, o, o.Do.Name, string(id), h); j != nil {
			made = append(made, j)
		}
	}
	if failed {
		a.end(false)
		if code != refused && !maybe {
			m.found("other", "%s: %q, want %q", l.text, l.printed, refused)
		}
		return
	}
	c.acked, c.durable = true, func() bool {
		return !slices.ContainsFunc(made, func(j *job) bool { return m.seen[a.id].of(j).ID != j.id })
	}
	a.end(true)
}
