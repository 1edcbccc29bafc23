package model_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/cron"
	"carillon/internal/proof"
	"carillon/storage"
)

// The model does not know what steps of the wall of more than five minutes put right. A
// watch does without it: it plays the same commands, with such steps, and demands what
// must hold whatever the clock has shown:
//
//	nothing lost      a job that was seen is there, and one that has ended stays so
//	nothing doubled   no attempt of a job, and no slot, has its effect twice
//	nothing early     no handler begins before its job is due, by the wall as it was read
//	nothing silent    once the wall has stood for a while, a trigger's next slot is the
//	                  next one that has not fired, what is relative waits no longer than
//	                  it was to, and what was written down is not of the future
type watch struct {
	x     *history
	seen  map[storage.AppID]*sight
	small time.Duration // of the steps that are too small to be put right, the sum
}

// newWatch takes note of nothing yet.
func newWatch(x *history) *watch {
	x.generator.steps = true
	return &watch{x: x, seen: map[storage.AppID]*sight{}}
}

// relative has everything in the order be scheduled relative to now.
func (o *order) relative() {
	if strings.HasPrefix(o.After, "-") {
		o.After = "0s"
	}
	o.Do.relative()
}

func (p *program) relative() {
	for i := range p.Does {
		if o := p.Does[i].Run; o != nil {
			o.relative()
		}
		if inner := p.Does[i].Nest; inner != nil {
			inner.relative()
		}
	}
}

// play plays one line and looks at what must hold.
func (w *watch) play(text string) {
	x, m := w.x, w.x.m
	x.lines = append(x.lines, text)
	l := &line{text: text, words: strings.Fields(text), at: time.Now(), id: x.player.ID}
	x.playing.Add(1)
	l.printed = x.perform(l)
	x.h.Settle()
	seen := map[storage.AppID]*sight{}
	for _, id := range modelApps {
		s, err := look(x.h, id)
		if err != nil {
			m.found("other", "app %s: %v", id, err)
		}
		seen[id] = s
	}
	x.noted = x.notes.take()
	w.follow(l, seen)
	for _, id := range modelApps {
		w.early(id, seen[id])
		w.doubled(id, seen[id])
		if w.seen[id] != nil && !w.replaced(l, id) {
			w.lost(l, id, seen[id])
		}
		if l.words[0] == "advance" && span(l.words[1]) >= 10*time.Second {
			w.silent(id, seen[id])
		}
	}
	w.seen = seen
	if err := x.h.Engine.Check(); err != nil {
		m.found("other", "check: %v", err)
	}
}

// follow tells the generator what there is.
func (w *watch) follow(l *line, seen map[storage.AppID]*sight) {
	m := w.x.m
	switch l.words[0] {
	case "clock":
		d := span(l.words[1])
		if m.step += d; d.Abs() <= modelBridged {
			w.small += d.Abs()
		}
	case "release":
		m.released = strings.Join(l.words[1:], "")
	case "starts":
		beforeStarts(m, l)
	case "export":
		if l.printed == "" {
			m.kept = &app{id: storage.AppID(l.words[1])}
		}
	}
	m.now = time.Now()
	for _, id := range modelApps {
		a := m.apps[id]
		a.jobs, a.triggers = nil, map[string]*trigger{}
		for _, stored := range seen[id].all {
			a.jobs = append(a.jobs, &job{id: stored.ID, name: nameOf(&stored), path: stored.Function, state: stored.State})
		}
		for _, info := range seen[id].crons {
			a.triggers[info.Name] = &trigger{name: info.Name, path: info.Function, paused: info.Paused, atStart: info.AtStart}
		}
	}
}

// replaced says whether the line may have taken the app away, or brought it back.
func (w *watch) replaced(l *line, id storage.AppID) bool {
	text := strings.Join(l.words, " ")
	return strings.Contains(text, "delete-app "+string(id)) || strings.Contains(text, "import "+string(id))
}

// lost demands that the jobs that were there are, and that what has ended stays so.
func (w *watch) lost(l *line, id storage.AppID, now *sight) {
	there := map[uint64][]storage.State{} // by what no other job of the app has, whatever its arguments are by now
	for _, job := range now.all {
		there[job.Seq()] = append(there[job.Seq()], job.State)
	}
	for _, job := range w.seen[id].all {
		k := job.Seq()
		dropped := slices.Contains(l.words, "drop") && len(l.words) > 2 && l.id(l.words[2]) == job.ID
		switch {
		case !job.Slot.IsZero() && job.Attempts == 0, dropped:
		case len(there[k]) == 0:
			w.x.m.found("lost", "app %s: job %s (%s) was %s and is gone", id, job.ID, nameOf(&job), job.State)
		case (job.State == storage.StateSuccess || job.State == storage.StateCanceled) && !slices.Contains(there[k], job.State):
			w.x.m.found("doubled", "app %s: job %s (%s) was %s and is %s", id, job.ID, nameOf(&job), job.State, there[k])
		}
	}
}

// doubled demands that no job has its effect twice, and that no slot fires twice.
func (w *watch) doubled(id storage.AppID, now *sight) {
	jobs, effects := map[string]int{}, map[string]int{}
	for _, job := range now.all {
		jobs[nameOf(&job)]++
	}
	for fx, n := range now.docs {
		if appOf(fx) != id {
			w.x.m.found("leaked", "app %s has the effect %s", id, fx)
		}
		name, _, _ := strings.Cut(fx, "#")
		effects[name] += n
	}
	for name, n := range effects {
		if jobs[name] > 0 && n > jobs[name] {
			w.x.m.found("doubled", "app %s has the effect %s %d times, of %d jobs", id, name, n, jobs[name])
		}
	}
	for name, slots := range now.slots {
		fired := map[time.Time]bool{}
		for _, s := range slots {
			if s.Outcome != storage.SlotFired && s.Outcome != storage.SlotCanceled {
				continue
			}
			if fired[s.From] {
				w.x.m.found("doubled", "app %s: trigger %s: slot %s has fired twice", id, name, s.From.Format(stamp))
			}
			fired[s.From] = true
		}
	}
}

// early demands that no first attempt has begun before its job was due.
func (w *watch) early(id storage.AppID, now *sight) {
	for _, h := range w.x.noted {
		if h.what != "start" || h.run.app != id || h.run.job.Attempt != 1 {
			continue
		}
		job, ok := now.jobs[h.run.job.ID]
		if ok && nameOf(&job) == h.run.prog.Name && job.Attempts == 1 && len(job.History) == 0 && !job.PendingOutside() && h.wall.Before(job.Due) {
			w.x.m.found("early", "job %s (%s) is due %s and began at %s", job.ID, h.run.prog.Name, job.Due.Format(stamp), h.wall.Format(stamp))
		}
	}
}

// silent demands that nothing waits for a future that was false.
func (w *watch) silent(id storage.AppID, now *sight) {
	wall := w.x.h.Now()
	last := wall.Add(modelBridged + w.small)
	for _, job := range now.all {
		for name, at := range map[string]time.Time{"enqueued": job.EnqueuedAt, "started": job.StartedAt, "ended": job.CompletedAt, "held": job.HeldAt} {
			if at.After(last) {
				w.x.m.found("other", "app %s: job %s (%s), which is %s, was %s at %s, it is %s", id, job.ID, nameOf(&job), job.State, name, at.Format(stamp), wall.Format(stamp))
			}
		}
		if job.Slot.IsZero() && job.State == storage.StatePending && job.Due.After(last.Add(time.Hour)) {
			w.x.m.found("lost", "app %s: job %s (%s) waits until %s, it is %s", id, job.ID, nameOf(&job), job.Due.Format(stamp), wall.Format(stamp))
		}
	}
	for _, info := range now.crons {
		if info.AtStart || info.Paused {
			continue
		}
		schedule, err := cron.Expr(info.Spec).Compile(info.Zone)
		if err != nil || info.Fault != "" {
			w.x.m.found("other", "app %s: trigger %s: %v, %s", id, info.Name, err, info.Fault)
			continue
		}
		schedule = schedule.WithAnchor(info.Anchor)
		next := schedule.Next(wall.Add(w.small))
		for _, s := range info.Spent {
			if !next.Before(s.From) && !next.After(s.To) {
				next = schedule.Next(s.To)
			}
		}
		if info.Next.After(next) || info.Next.IsZero() {
			w.x.m.found("lost", "app %s: trigger %s comes at %s, want %s at the latest, it is %s", id, info.Name, info.Next.Format(stamp), next.Format(stamp), wall.Format(stamp))
		}
	}
}

// TestG15_ModelUnderSteps plays random histories in which the wall is stepped by hours
// and years, and put right or not.
func TestG15_ModelUnderSteps(t *testing.T) {
	tally := proof.NewTally(t, "model, stepped")
	checks, most := proof.Pick(3, 10, 300), proof.Pick(25, 60, 300)
	setFlag(t, "rapid.checks", strconv.Itoa(checks))
	setFlag(t, "rapid.seed", proof.Pick("7", "8", "0"))
	setFlag(t, "rapid.nofailfile", "true")
	var last *history
	defer func() {
		if last != nil {
			report(t, tally, last, stepScripts)
		}
	}()
	steps := 0
	began, limit := time.Now(), proof.For(time.Hour, time.Hour, 24*time.Hour)
	rapid.Check(t, func(rt *rapid.T) {
		if last == nil && time.Since(began) > limit {
			return
		}
		drawn := rapid.SliceOfN(rapid.Custom(drawStep), most, most).Draw(rt, "steps")
		x := onHistory(t, func(x *history) {
			w := newWatch(x)
			for i := range drawn {
				drawn[i].Order.relative()
				if text := x.generator.line(&drawn[i]); text != "" {
					w.play(text)
				}
				if len(x.m.findings) > 0 {
					return
				}
			}
			w.play("advance 61s")
		})
		steps += len(x.lines)
		tally.Tried(len(x.lines))
		if len(x.m.findings) > 0 {
			last = x
			rt.Fatalf("%s", x.m.findings[0].text)
		}
	})
	t.Logf("%d steps", steps)
}

// TestG15_ModelUnderStepsScripts plays the histories again that were red once.
func TestG15_ModelUnderStepsScripts(t *testing.T) {
	playScripts(t, stepScripts, func(x *history) func(string) { return newWatch(x).play })
}
