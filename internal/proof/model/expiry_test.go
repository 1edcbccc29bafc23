package model_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

// A job may have an instant after which no attempt of it begins. One that waits by then has
// expired as soon as nothing has the turn (G12). When exactly that is the model does not know:
// until it has seen it either may be.

// drawLast draws the order's last instant, a while behind the one it is due at.
func (o *order) drawLast(t *rapid.T) {
	if behind := rapid.SampledFrom([]string{"", "", "", "", "113ms", "1613ms", "7013ms"}).Draw(t, "last"); behind != "" {
		o.Last = (max(span(o.After), 0) + span(behind)).String()
	}
}

// last is that instant; zero if there is none.
func (o *order) last(wall time.Time) time.Time {
	if o.Last == "" {
		return time.Time{}
	}
	return wall.Add(span(o.Last))
}

// tooLate says whether the job waits and may have expired.
func (m *model) tooLate(j *job, at time.Time) bool {
	return (j.state == storage.StatePending || j.state == storage.StateHeld) && !j.notAfter.IsZero() && m.wall(at).After(j.notAfter) && j.outside == nil
}

// expires notes which of the jobs that are too late have expired: all, unless something has
// the turn, or the wall is in doubt.
func (m *model) expires(a *app, now time.Time) {
	for _, j := range slices.Clone(a.jobs) {
		switch seen := m.seen[a.id].of(j).State; {
		case !m.tooLate(j, now):
		case seen == storage.StateExpired:
			m.expired(a, j, now)
		case a.holder == nil && a.turnSince.Before(now) && m.openedAt.Before(now) && !m.doubted.After(now) &&
			!m.steppedAt.Add(modelCheck).After(now) && m.wall(now).Sub(j.notAfter) > modelAhead:
			m.found("other", "app %s: job %s (%s) is %s, and was not to begin after %s", a.id, j.id, j.name, seen, j.notAfter.Format(stamp))
		}
	}
}

// doubt notes that nothing expires until the wall has run so for an hour.
func (m *model) doubt(at time.Time, by time.Duration) {
	if by >= time.Hour || m.doubted.After(at) {
		m.doubted = at.Add(time.Hour + modelCheck)
	}
}

// wakesAt is when the job's app has something to do for it.
func (j *job) wakesAt() time.Time {
	if j.outside != nil {
		return j.due
	}
	if last := j.notAfter.Add(time.Millisecond); !j.notAfter.IsZero() && (j.state == storage.StateHeld || last.Before(j.due)) {
		return last
	}
	return j.due
}
