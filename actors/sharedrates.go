package actors

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"carillon/storage"
)

// This file is the rates of the pools that all apps share (G28). The starts of all apps are
// one sliding log in the table of the engine. What is durable of them are the logs of the
// apps; when the engine is opened those of all apps are read, before any of them has begun
// anything.

// rearm has the lane looked at again when its rate gives a permit to the first app that
// waits, and forgets a lane of which nothing is needed any more. The caller has the lock.
func (sp *sharedPools) rearm(at storage.Lane, l *sharedLane) {
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarm = nil
	}
	now := sp.clock.elapsed()
	opens := l.starts.opening(sp.declared[at.Pool], now)
	if len(l.waiting) == 0 {
		if l.taken > 0 || l.stuck > 0 {
			return // the end of a run has it looked at
		}
		opens = l.starts.until
		if n := len(l.starts.begun); n > 0 {
			_, span := sp.declared[at.Pool].Rate()
			opens = max(opens, l.starts.begun[n-1].at+span)
		}
		if opens <= now {
			delete(sp.lanes, at)
			return
		}
	}
	if opens > now && opens != never {
		l.alarm = time.AfterFunc(opens-now, func() { sp.change(at, func(*sharedLane) {}) })
	}
}

// start notes that the handler of a job begins now, for which the app has a permit.
func (sp *sharedPools) start(app *appState, at storage.Lane) {
	sp.change(at, func(l *sharedLane) {
		if s := l.of[app]; s != nil && s.ahead > 0 {
			s.ahead, l.starts.ahead = s.ahead-1, l.starts.ahead-1
		}
		if rate, _ := sp.declared[at.Pool].Rate(); rate > 0 {
			l.starts.begun = append(l.starts.begun, &laneStart{at: sp.clock.elapsed()})
		}
	})
}

// putOff has nothing of the lane begin for so long, in any app.
func (sp *sharedPools) putOff(at storage.Lane, d time.Duration) {
	sp.change(at, func(l *sharedLane) { l.starts.until = max(l.starts.until, sp.clock.elapsed()+d) })
}

// putOffUntil is when the wait of the lane ends, or has ended.
func (sp *sharedPools) putOffUntil(at storage.Lane) time.Duration {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if l := sp.lanes[at]; l != nil {
		return l.starts.until
	}
	return 0
}

// rateReason is why a job of the lane waits for which there is a permit, or "".
func (sp *sharedPools) rateReason(at storage.Lane) string {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if l := sp.lanes[at]; l != nil {
		return l.starts.reason(sp.declared[at.Pool], nameOf(at)+", which all apps share,", sp.clock)
	}
	return ""
}

// nextOf is when the first of the lanes of the pool opens that waits for its rate.
func (sp *sharedPools) nextOf(pool string) time.Time {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.next(pool)
}

// next is nextOf with the lock.
func (sp *sharedPools) next(pool string) time.Time {
	first, now := never, sp.clock.elapsed()
	for at, l := range sp.lanes {
		if at.Pool == pool {
			if opens := l.starts.opening(sp.declared[pool], now); opens > now {
				first = min(first, opens)
			}
		}
	}
	if first == never {
		return time.Time{}
	}
	return sp.clock.wall().Add(first - now)
}

// close has no alarm fire any more.
func (sp *sharedPools) close() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, l := range sp.lanes {
		if l.alarm != nil {
			l.alarm.Stop()
		}
	}
}

// remember takes up what the store has of the starts of earlier processes: those within the
// span count as just begun, and all of them if the wall was stepped since. If not all can be
// read, every pool with a rate waits for its span.
func (sp *sharedPools) remember(read func(pools []string, visit func(storage.Lane, storage.Start)) error, log *slog.Logger) {
	spans := map[string]time.Duration{}
	for name, p := range sp.declared {
		if p.IsShared() {
			_, spans[name] = p.Rate()
		}
	}
	if len(spans) == 0 {
		return
	}
	at, now := sp.clock.look(), sp.clock.elapsed()
	err := read(slices.Collect(maps.Keys(spans)), func(lane storage.Lane, s storage.Start) {
		age := sp.clock.ageOf(&s, at)
		sp.change(lane, func(l *sharedLane) {
			switch {
			case s.Wait > age:
				l.starts.until = max(l.starts.until, now+s.Wait-age)
			case s.Wait == 0 && age < spans[lane.Pool]:
				l.starts.begun = append(l.starts.begun, &laneStart{at: now})
			}
		})
	})
	if err != nil {
		log.Error("reading when jobs of the pools that all apps share have begun", "err", err)
		for name, span := range spans {
			spans[name] = now + span
		}
		sp.doubt = spans
	}
}
