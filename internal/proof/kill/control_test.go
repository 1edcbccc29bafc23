package kill_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Some of the actions that have an observer are in pools: one with a limit, one that is
// ordered and one with a rate. Nobody cancels those, and none of them is given up, so that
// one that has begun holds its permit until it has told of its end.
var killPools = []*dispatch.Pool{
	dispatch.NewPool("narrow", killNarrow),
	dispatch.NewPool("line", 1, dispatch.Ordered()),
	dispatch.NewPool("rated", killRate, dispatch.Rate(killRate, killSpan)),
}

const (
	killNarrow = 1
	killRate   = 4
	killSpan   = time.Second

	// killTell is how much later than it begins an attempt may be heard of.
	killTell = killSpan / 2
)

// lane is where client n has its actions of the pool wait: the limit is for all clients of an
// app, the order and the rate are for each.
func killLane(pool string, n int) string {
	if pool == "narrow" {
		return pool
	}
	return fmt.Sprintf("%s/c%d", pool, n)
}

// inKillLane is the option of such a lane.
func inKillLane(lane string) dispatch.RunOption {
	name, key, keyed := strings.Cut(lane, "/")
	i := slices.IndexFunc(killPools, func(p *dispatch.Pool) bool { return p.Name() == name })
	if !keyed {
		return dispatch.InPool(killPools[i])
	}
	return dispatch.InPool(killPools[i], key)
}

// verifyLanes demands of what the observer has heard that no more of a lane have run at once
// than its limit, that an ordered one has kept its order over all lives, and that no span has
// more starts than the rate; and that nothing has begun after its last instant.
func (j *killJournal) verifyLanes(tally killFinder) {
	type lane struct {
		app, name string
	}
	reports := slices.Clone(j.reports)
	slices.SortStableFunc(reports, func(a, b killHeard) int { return a.Life - b.Life }) // what a killed one said may be heard late
	running := map[lane]map[string]bool{}
	heard := map[lane][]time.Time{}
	last := map[lane]int{}
	life := 0
	for _, r := range reports {
		if r.Life != life {
			clear(running)
			life = r.Life
		}
		if !r.Ended && !r.NotAfter.IsZero() && r.Now.After(r.NotAfter) {
			tally.Other("job %s began at %v, and not after %v", r.Job, r.Now, r.NotAfter)
		}
		if r.Lane == "" {
			continue
		}
		app, _, _ := strings.Cut(r.Job, "/")
		of := lane{app, r.Lane}
		if r.Ended {
			delete(running[of], r.Job)
			continue
		}
		if running[of] == nil {
			running[of] = map[string]bool{}
		}
		running[of][r.Job] = true
		pool, _, _ := strings.Cut(r.Lane, "/")
		limit := map[string]int{"narrow": killNarrow, "line": 1, "rated": killRate}[pool]
		if len(running[of]) > limit {
			tally.Doubled("%d jobs of %v run at once, in life %d", len(running[of]), of, life)
		}
		switch heard[of] = append(heard[of], r.at); pool {
		case "line":
			var client, seq int
			if _, err := fmt.Sscanf(r.Key, "c%d-%d", &client, &seq); err != nil || seq < last[of] {
				tally.Other("%s began after c%d-%d, which comes behind it (%v)", r.Key, client, last[of], err)
			}
			last[of] = seq
		case "rated":
			if n := len(heard[of]) - 1 - killRate; n >= 0 {
				if span := r.at.Sub(heard[of][n]); span >= 0 && span < killSpan-killTell {
					tally.Doubled("%d jobs of %v, of a rate of %d in %v, began within %v", killRate+1, of, killRate, killSpan, span)
				}
			}
		}
	}
}

// killPause is the path at which the server pauses (POST) and resumes (DELETE) something of
// an app, for which it has no routes.
const killPause = "/pause/{app}/{scope}"

// killScopes are what is paused.
var killScopes = map[string]storage.Scope{
	"app": dispatch.OfApp(), "function": dispatch.OfFunction(killActRun.Path()), "pool": dispatch.OfPool("narrow"),
}

// pauseHandler serves killPause.
func pauseHandler(eng *actors.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		app, err := eng.App(storage.AppID(r.PathValue("app")))
		if err == nil {
			of := killScopes[r.PathValue("scope")]
			if r.Method == http.MethodPost {
				err = app.Pause(r.Context(), of, "the loop", "for a while")
			} else {
				_, err = app.Resume(r.Context(), of)
			}
		}
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			e := dispatch.AsError(err)
			_ = json.NewEncoder(w).Encode(killRefusal{e.Code, e.Message})
			return
		}
		_, _ = w.Write([]byte("{}"))
	}
}

// killPauser pauses the app of two clients, a function or a pool of it, again and again.
type killPauser struct {
	loop   *killLoop
	pauses []killPaused
}

// killPaused is a pause from its acknowledgement until somebody asked for its end.
type killPaused struct {
	scope       string
	from, until time.Time
}

const killPausedApp = "demo0"

var errKilled = errors.New("the server is killed")

// run pauses and resumes while the loop goes on. What is paused when it ends is resumed.
func (k *killPauser) run() error {
	scope := ""
	for life := k.loop.serving(0); life != nil; {
		err := func() error {
			for ; !k.loop.stopped(); scope = "" {
				if scope == "" { // else it is paused, perhaps, over a kill
					scope = []string{"app", "function", "pool"}[rand.IntN(3)]
					if err := k.ask(life, http.MethodPost, scope); err != nil {
						return err
					}
					k.pauses = append(k.pauses, killPaused{scope: scope, from: time.Now()})
				}
				k.loop.pause(time.Duration(10+rand.IntN(200)) * time.Millisecond)
				if life.over() {
					return errKilled // and it is to be paused in the next life, too
				}
				if err := k.resume(life, scope); err != nil {
					return err
				}
				k.loop.pause(time.Duration(rand.IntN(300)) * time.Millisecond)
			}
			return nil
		}()
		var refused *killRefusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refused):
			return fmt.Errorf("pausing %s: %w", scope, err)
		}
		life = k.loop.serving(life.number + 1)
	}
	return nil
}

func (k *killPauser) resume(life *killLife, scope string) error {
	if n := len(k.pauses); n > 0 && k.pauses[n-1].until.IsZero() {
		k.pauses[n-1].until = time.Now()
	}
	return k.ask(life, http.MethodDelete, scope)
}

func (k *killPauser) ask(life *killLife, method, scope string) error {
	path := strings.NewReplacer("{app}", killPausedApp, "{scope}", scope).Replace(killPause)
	_, err := k.loop.raw(life, method, path, nil)
	return err
}

// settle resumes all.
func (k *killPauser) settle(life *killLife) error {
	for scope := range killScopes {
		if err := k.resume(life, scope); err != nil {
			return err
		}
	}
	return nil
}

// verify demands that nothing of a pause has begun while it was acknowledged, over kills, too.
func (k *killPauser) verify() {
	for _, p := range k.pauses {
		for _, r := range k.loop.observer.reports {
			app, _, _ := strings.Cut(r.Job, "/")
			if app == killPausedApp && !r.Ended && (p.scope != "pool" || r.Lane == "narrow") &&
				r.Now.After(p.from.Add(killClock)) && r.Now.Before(p.until) {
				k.loop.tally.Other("job %s began at %v in life %d, and its %s was paused at %v until %v", r.Job, r.Now, r.Life, p.scope, p.from, p.until)
			}
		}
	}
}

// killClock is how far ahead of the wall a server's instants may be.
const killClock = 5 * time.Millisecond
