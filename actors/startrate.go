package actors

import (
	"fmt"
	"sync"
	"time"

	"carillon/storage"
)

// maxStartRate bounds AppLimits.StartsPerSecond.
const maxStartRate = 100_000

// startRate lets no more attempts of an app begin in any second than it may
// (AppLimits.StartsPerSecond), by the monotonic clock. What is due beyond that waits in the
// run queue, without a permit, and the alarm is set for the instant when the next may begin.
// It has a lock of its own, a leaf, because readers ask it why a job waits.
type startRate struct {
	most int // 0: any number

	mu     sync.Mutex
	recent []time.Duration // the starts of the last second, the first of them first
}

// note notes a start.
func (r *startRate) note(now time.Duration) {
	if r.most == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recent = append(r.recent, now)
}

// left is how many may begin now; if none may, wait is when the next one may.
func (r *startRate) left(now time.Duration) (n int, wait time.Duration) {
	if r.most == 0 {
		return maxStartRate, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	over := 0
	for over < len(r.recent) && now-r.recent[over] >= time.Second {
		over++
	}
	if r.recent = r.recent[over:]; len(r.recent) == 0 {
		r.recent = nil
	}
	if n = r.most - len(r.recent); n <= 0 {
		return 0, r.recent[-n] + time.Second - now
	}
	return n, 0
}

// rateReason is why a job that is due has to wait until more of the app's may begin, or "".
func (app *appState) rateReason(job *storage.Job) string {
	if n, _ := app.starts.left(app.eng.clock.elapsed()); n > 0 || app.runs.live(job.ID) || job.Due.After(app.eng.clock.wall()) {
		return ""
	}
	return fmt.Sprintf("as many of the app's jobs have begun in the last second as may: %d", app.starts.most)
}
