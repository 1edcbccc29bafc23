package isolation_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

const (
	newAppsCallers = 32                     // of the one client
	newAppsExtra   = 64                     // apps beyond those that there may be
	newAppsBeat    = 10 * time.Second       // between two ticks of an app
	newAppsPace    = time.Millisecond       // between two calls of the probe
	newAppsCommit  = 2 * time.Millisecond   // that a commit takes, so that there is a middle of things
	newAppsAway    = 10 * time.Millisecond  // before a caller that was cut off calls again
	newAppsProbe   = storage.AppID("probe") // which exists before the crowd comes
)

// newAppsCall is what an app is called with: who calls whom, for the how manieth time.
type newAppsCall struct {
	App   storage.AppID
	N     int
	After time.Duration // until the job that it schedules is due
}

// newAppsMark is what a call, a job or a tick leaves behind.
type newAppsMark struct {
	What    string // made, job or tick
	App     storage.AppID
	N       int
	Due, At time.Time
}

var (
	newAppsTable = storage.NewTable[newAppsMark]("newAppsMarks")
	newAppsMake  = dispatch.InternalMutation[newAppsCall, storage.ID[newAppsMark]]("newapps:make")
	newAppsJob   = dispatch.InternalMutation[newAppsCall, dispatch.None]("newapps:job")
	newAppsTick  = dispatch.InternalMutation[dispatch.None, dispatch.None]("newapps:tick")
	newAppsGet   = dispatch.InternalQuery[storage.ID[newAppsMark], newAppsMark]("newapps:get")
)

func newAppsFunctions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	newAppsMake.Handle(reg, func(ctx *dispatch.MutationCtx, c newAppsCall) (storage.ID[newAppsMark], error) {
		id, err := newAppsTable.Insert(ctx.DB, newAppsMark{What: "made", App: c.App, N: c.N, At: ctx.Now})
		if err != nil {
			return "", err
		}
		_, err = ctx.Scheduler.RunAfter(c.After, newAppsJob.With(c))
		return id, err
	})
	newAppsJob.Handle(reg, func(ctx *dispatch.MutationCtx, c newAppsCall) (dispatch.None, error) {
		_, err := newAppsTable.Insert(ctx.DB, newAppsMark{What: "job", App: c.App, N: c.N, Due: ctx.Job.ScheduledFor, At: ctx.Now})
		return dispatch.None{}, err
	})
	newAppsTick.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := newAppsTable.Insert(ctx.DB, newAppsMark{What: "tick", Due: ctx.Tick.Slot, At: ctx.Now})
		return dispatch.None{}, err
	})
	newAppsGet.Handle(reg, func(ctx *dispatch.QueryCtx, id storage.ID[newAppsMark]) (newAppsMark, error) {
		return newAppsTable.Get(ctx.DB, id)
	})
	return reg
}

// newApps is a crowd that one client calls into being.
type newApps struct {
	h      *actorstest.Harness
	tally  *proof.Tally
	most   int // apps that there may be, the probe included
	engine atomic.Pointer[actors.Engine]
	quiet  atomic.Bool // nothing is killed any more

	mu      sync.Mutex
	calls   map[storage.AppID]map[int]bool // by app and number: whether it was acknowledged
	refused map[storage.AppID]bool         // the latest call was
	told    map[string]int                 // answers, by kind
}

// G1, G2, G3, G11, G18, G19, G26: a client calls thousands of apps into being, each with a
// job and a trigger, as many as there may be and some more, while another app works
// and the engine is killed and restarted. What was acknowledged is there and nothing
// is twice, early or in another app; there are never more apps than there may be, as
// many in the end, and none that was refused.
func TestG26_ThousandsOfNewApps(t *testing.T) {
	tally := proof.NewTally(t, "thousands of new apps")
	most, kills := proof.Pick(100, 2000, 20_000), proof.Pick(4, 8, 40)
	rnd := rand.New(rand.NewPCG(uint64(proof.Seed(proof.Pick(1, 1, rand.IntN(1_000_000_000)))), 0))
	c := &newApps{tally: tally, most: most, calls: map[storage.AppID]map[int]bool{}, refused: map[storage.AppID]bool{}, told: map[string]int{}}
	slow := func(point string) error {
		if point == "commit" && !c.quiet.Load() {
			time.Sleep(newAppsCommit)
		}
		return nil
	}
	opts := actors.Options{
		Functions: newAppsFunctions(), MaxApps: most, IdleAfter: time.Second, Testing: actors.Testing{Fault: slow}, Logger: slog.New(slog.DiscardHandler),
		Crons: []dispatch.Trigger{{Name: "beat", Schedule: cron.Every(newAppsBeat), Call: newAppsTick.With(dispatch.None{})}},
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		c.h = h
		c.engine.Store(h.Engine)
		if !c.call(newAppsProbe, time.Second) {
			t.Fatal("the probe app cannot be made")
		}
		stop := make(chan struct{})
		var probe, client sync.WaitGroup
		probe.Go(func() { c.probe(stop) })
		client.Go(c.client)
		for n := range kills {
			time.Sleep(time.Duration(rnd.Int64N(int64(newAppsCommit) * int64(most) / newAppsCallers / int64(kills) * 2)))
			if n%4 == 3 {
				h.Restart()
			} else {
				h.Crash()
			}
			c.engine.Store(h.Engine)
			tally.Tried(1)
			c.count()
		}
		c.quiet.Store(true)
		client.Wait()
		close(stop)
		probe.Wait()
		c.fill()
		quiet := h.Now()
		h.Advance(2*newAppsBeat + newAppsBeat/2)
		c.verify(quiet, h.Now())
		c.bound()
	})
	t.Logf("%d apps, answers %v", most, c.told)
}

func newAppsName(n int) storage.AppID { return storage.AppID(fmt.Sprintf("crowd-%05d", n)) }

// client calls all apps, those beyond the bound too, from many goroutines. What was
// cut off it calls again until it has an answer.
func (c *newApps) client() {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range newAppsCallers {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= c.most+newAppsExtra {
					return
				}
				c.call(newAppsName(n), time.Duration(1+n%7)*time.Second)
			}
		})
	}
	wg.Wait()
}

// call calls the app until it has an answer, and says whether it was acknowledged.
func (c *newApps) call(id storage.AppID, after time.Duration) bool {
	for {
		c.mu.Lock()
		if c.calls[id] == nil {
			c.calls[id] = map[int]bool{}
		}
		n := len(c.calls[id])
		c.calls[id][n] = false
		c.refused[id] = false
		c.mu.Unlock()
		app, err := c.engine.Load().App(id)
		if err != nil {
			c.tally.Other("app %s: %v", id, err)
			return false
		}
		doc, err := newAppsMake.Run(app.As(c.h.Context(), nil), newAppsCall{id, n, after})
		code := codeOf(err)
		c.mu.Lock()
		c.told[string(code)]++
		c.calls[id][n] = err == nil
		if code == dispatch.CodeResourceExhausted {
			c.refused[id] = true
			delete(c.calls[id], n) // it has certainly not happened
		}
		c.mu.Unlock()
		switch {
		case err == nil:
			c.seen(app, doc)
			return true
		case code == dispatch.CodeResourceExhausted:
			c.absent(app)
			return false
		}
		time.Sleep(newAppsAway)
	}
}

// seen demands that what was just acknowledged is read, by the same engine or the next.
func (c *newApps) seen(app *actors.App, doc storage.ID[newAppsMark]) {
	mark, err := newAppsGet.Run(app.As(c.h.Context(), nil), doc)
	if codeOf(err) == dispatch.CodeNotFound {
		c.tally.Lost("app %s: document %s was acknowledged and is not found", app.ID(), doc)
	}
	if err == nil && mark.App != app.ID() {
		c.tally.Leaked("app %s reads %+v", app.ID(), mark)
	}
}

// absent demands that an app that was refused was not made, unless an earlier call
// whose outcome is not known has made it.
func (c *newApps) absent(app *actors.App) {
	exists, err := app.Exists()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && exists && len(c.calls[app.ID()]) == 0 {
		c.tally.Other("app %s was refused, and exists", app.ID())
	}
}

// probe calls an app that existed before, again and again.
func (c *newApps) probe(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(newAppsPace):
			c.call(newAppsProbe, time.Second)
		}
	}
}

// count demands that there are no more apps than there may be.
func (c *newApps) count() int {
	ids, err := c.engine.Load().Apps()
	if err != nil {
		c.tally.Other("apps: %v", err)
	}
	if len(ids) > c.most {
		c.tally.Other("there are %d apps, and may be %d", len(ids), c.most)
	}
	return len(ids)
}

// fill calls what was refused once more, now that nothing is killed: a place may have
// come free with an app whose first change was lost.
func (c *newApps) fill() {
	for n := range c.most + newAppsExtra {
		id := newAppsName(n)
		c.mu.Lock()
		refused := c.refused[id]
		c.mu.Unlock()
		if refused {
			c.call(id, time.Second)
		}
	}
}

// verify reads all apps, of which nothing was killed since quiet.
func (c *newApps) verify(quiet, now time.Time) {
	made := 0
	for id, calls := range c.calls {
		c.tally.Tried(1)
		exists, err := c.h.App(id).Exists()
		if err != nil {
			c.tally.Other("app %s: %v", id, err)
			continue
		}
		if !exists {
			for n, acked := range calls {
				if acked {
					c.tally.Lost("app %s: call %d was acknowledged, and the app does not exist", id, n)
				}
			}
			continue
		}
		if made++; len(calls) == 0 {
			c.tally.Other("app %s was refused, and exists", id)
		}
		c.verifyApp(id, calls, quiet, now)
	}
	if n := c.count(); n != c.most || made != c.most {
		c.tally.Other("there are %d apps, %d of them known, want %d", n, made, c.most)
	}
}

func (c *newApps) verifyApp(id storage.AppID, calls map[int]bool, quiet, now time.Time) {
	seen := map[string]int{}
	ticks := 0
	for _, d := range actorstest.Documents(c.h, id, newAppsTable) {
		mark := d.Value
		key := fmt.Sprint(mark.What, " ", mark.N)
		if mark.What == "tick" {
			key = fmt.Sprint("tick ", mark.Due)
			if mark.Due.After(quiet) {
				ticks++
			}
		} else if mark.App != id {
			c.tally.Leaked("app %s has %+v", id, mark)
		}
		if seen[key]++; seen[key] == 2 {
			c.tally.Doubled("app %s: %s", id, key)
		}
		if mark.At.Before(mark.Due) {
			c.tally.Early("app %s: %+v", id, mark)
		}
	}
	for n, acked := range calls {
		made, ran := seen[fmt.Sprint("made ", n)], seen[fmt.Sprint("job ", n)]
		if acked && made == 0 {
			c.tally.Lost("app %s: call %d was acknowledged", id, n)
		}
		if made > ran {
			c.tally.Lost("app %s: the job of call %d has not run", id, n)
		}
		if ran > made {
			c.tally.Other("app %s: a job of call %d has run that nothing has scheduled", id, n)
		}
	}
	if want := int(now.Sub(quiet)/newAppsBeat) - 1; ticks < want {
		c.tally.Lost("app %s has had %d ticks in %v", id, ticks, now.Sub(quiet))
	}
}

// bound demands that the bound holds at n and n+1: one more is refused until one is
// removed, and then the next.
func (c *newApps) bound() {
	for _, name := range []storage.AppID{"one-more", "another"} {
		if c.call(name, time.Second) {
			c.tally.Other("an app was made beyond the bound")
		}
	}
	if err := c.h.Engine.Delete(c.h.Context(), newAppsProbe); err != nil {
		c.tally.Other("delete: %v", err)
	}
	if !c.call("one-more", time.Second) {
		c.tally.Other("an app is refused though one was removed")
	}
	if c.call("another", time.Second) {
		c.tally.Other("an app was made beyond the bound")
	}
	if n := c.count(); n != c.most {
		c.tally.Other("there are %d apps in the end, want %d", n, c.most)
	}
}

// codeOf is the code of an error; "" of none.
func codeOf(err error) dispatch.Code {
	if err == nil {
		return ""
	}
	return dispatch.AsError(err).Code
}
