package model_test

import (
	"time"

	"carillon/storage"
)

// modelBridged is how far ahead of the wall what is written down may be, once that
// was stepped back.
const modelBridged = 5 * time.Minute

// compareTimes demands that what was written down in this command bears the
// instant of its moment: the wall, or if that was stepped back by a little, one not
// far ahead of it; and that what has ended is listed in the order it ended.
func (m *model) compareTimes(a *app) {
	for _, j := range a.jobs {
		if m.compareEnd(a, j) {
			j.endedAt = time.Time{}
		}
	}
	now := map[end]bool{}
	news := map[bool]storage.JobID{} // of those that failed, and of the others, one that has just ended
	for _, job := range m.seen[a.id].all {
		if !job.State.Ended() {
			continue
		}
		e, failed := end{job.Seq(), len(job.History), job.CompletedAt.UnixMilli()}, job.State == storage.StateFailed
		now[e] = true
		switch {
		case !a.ends[e]:
			news[failed] = job.ID
		case news[failed] != "":
			m.found("other", "app %s: job %s has ended before %s, and is listed after it", a.id, job.ID, news[failed])
		}
	}
	a.ends = now
}

// compareEnd compares the instant at which the job ended, if it is known.
func (m *model) compareEnd(a *app, j *job) (known bool) {
	twins := 0
	for _, job := range m.seen[a.id].all {
		if job.ID == j.id && nameOf(&job) == j.name {
			twins++
		}
	}
	if j.endedAt.IsZero() || !j.state.Ended() || twins > 1 {
		return false
	}
	first := j.endedAt.Truncate(time.Millisecond)
	last := first
	if m.peak.Add(modelBridged).After(first) { // it may not have caught up yet
		last = last.Add(modelBridged)
	}
	if at := m.seen[a.id].of(j).CompletedAt; at.Before(first) || at.After(last) {
		m.found("other", "app %s: job %s (%s) ended at %s, not from %s to %s", a.id, j.id, j.name, at.Format(stamp), first.Format(stamp), last.Format(stamp))
	}
	return true
}

// end is the end of a job.
type end struct {
	seq     uint64
	history int
	ms      int64
}
