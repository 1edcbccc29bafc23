package actors

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/storage"
)

// Survey is a Depth, with the apps that stand out, up to 20 of each kind.
type Survey struct {
	Depth
	Busy     []storage.AppInfo // those with the most pending jobs, the most first
	Troubled []storage.AppInfo // those that cannot be read, then those with the most dead and held jobs
	Paused   []storage.AppInfo // by name
	At       time.Time         // when it was begun, by the wall; zero: there was none yet
}

// Bounds of a survey.
const (
	surveyApps  = 20
	surveyShare = 20 // of so many times as long as one takes, one is spent
)

// survey reads the counters of all apps, and says which stand out, so many of each kind.
func (e *Engine) survey(most int) Survey {
	s := Survey{At: e.clock.wall()}
	all := e.store.Survey(most)
	s.Depth.Depth, s.Busy, s.Troubled, s.Paused = all.Depth, all.Busy, all.Troubled, all.Paused
	e.directory.each(func(ref *appRef) {
		s.Awake++
		s.Running += ref.app.runs.begun()
		s.Stuck += len(ref.app.runs.stuck())
	})
	return s
}

// surveys has the engine's survey as it was lately, however many ask. The lock is a leaf.
type surveys struct {
	mu       sync.Mutex
	last     Survey
	until    time.Time     // there is no other before
	counting chan struct{} // is closed when the one under way has ended; nil if none is
	closed   bool
}

// Survey returns what there is to do in all apps, and which of them stand out, as it was lately. If
// the next one may begin, which depends on how long one takes, it begins beside the caller, who
// waits for it until the context ends: what there is then is the answer.
func (e *Engine) Survey(ctx context.Context) Survey {
	s := &e.surveys
	if counting := s.begin(e); counting != nil {
		select {
		case <-counting:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// begin begins a survey, if there may be one. The channel is closed when that which is under way has
// ended; it is nil if there is none to wait for.
func (s *surveys) begin(e *Engine) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	if s.counting != nil || s.closed || began.Before(s.until) {
		return s.counting
	}
	counting := make(chan struct{})
	s.counting = counting
	go func() {
		defer close(counting)
		if hook := e.opts.Testing.Survey; hook != nil {
			hook()
		}
		last := e.survey(surveyApps)
		s.mu.Lock()
		defer s.mu.Unlock()
		now := time.Now()
		s.last, s.counting = last, nil
		s.until = now.Add(surveyShare * now.Sub(began))
	}()
	return counting
}

// close has no other survey begin, and waits for the one under way.
func (s *surveys) close() {
	s.mu.Lock()
	s.closed = true
	counting := s.counting
	s.mu.Unlock()
	if counting != nil {
		<-counting
	}
}

// AppRunning is how many jobs of an app run.
type AppRunning struct {
	App  storage.AppID
	Jobs int
}

// Running returns the apps in which the most jobs run now, up to most, the most first. It looks at
// those that are in memory.
func (e *Engine) Running(most int) (list []AppRunning) {
	e.directory.each(func(ref *appRef) {
		if n := ref.app.runs.begun(); n > 0 {
			list = append(list, AppRunning{ref.app.id, n})
		}
	})
	slices.SortFunc(list, func(a, b AppRunning) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), strings.Compare(string(a.App), string(b.App)))
	})
	return list[:min(len(list), most)]
}

// begun is how many jobs' handlers have begun whose runs are not over.
func (rs *runs) begun() (n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.byID {
		if r.phase == runBegun {
			n++
		}
	}
	return n
}
