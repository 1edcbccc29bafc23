package proof_test

import (
	"time"

	"carillon/storage"
)

// compareTimes demands that what was written down in this command bears the
// scheduler time of its moment: the wall, or if that was stepped back, some
// instant that it has shown, and never one before what was written down earlier.
func (m *model) compareTimes(a *app) {
	for _, j := range a.jobs {
		twins := 0
		for _, k := range a.jobs {
			if k.id == j.id && k.name == j.name {
				twins++
			}
		}
		if j.endedAt.IsZero() || !j.state.Ended() || twins > 1 {
			continue
		}
		first := j.endedAt.Truncate(time.Millisecond)
		last := first
		if m.peak.After(last) {
			last = m.peak
		}
		if at := m.seen[a.id].of(j).CompletedAt; at.Before(first) || at.After(last) {
			m.found("other", "app %s: job %s (%s) ended at %s, not from %s to %s", a.id, j.id, j.name, at.Format(stamp), first.Format(stamp), last.Format(stamp))
		}
		j.endedAt = time.Time{}
	}
	latest := a.latest
	for _, job := range m.seen[a.id].all {
		for _, at := range []time.Time{job.EnqueuedAt, job.CompletedAt} {
			s := stampOf{job.ID, at.UnixMilli()}
			if at.IsZero() || a.stamps[s] {
				continue
			}
			if a.stamps[s] = true; at.Before(a.latest) {
				m.found("other", "app %s: job %s bears %s, and %s was written down before", a.id, job.ID, at.Format(stamp), a.latest.Format(stamp))
			}
			if at.After(latest) {
				latest = at
			}
		}
	}
	a.latest = latest
}

// stampOf is an instant that was written down about a job.
type stampOf struct {
	job storage.JobID
	ms  int64
}
