package linear_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

// The shape of one history: a few hundred operations an app, which the checker
// can nearly always decide in well under a second. What crashes and failed commits
// leave undecided makes it try every order, so the quick form has half as many.
const (
	linearLives   = 4 // of the engine, on one directory
	linearClients = 4 // of each app
)

// linearOps is how many operations each client does in a life.
func linearOps() int { return proof.Pick(9, 18, 18) }

// linearStall is how long a call can take on the busiest machine, and less than
// the turn's timer, which gets an app going again that has missed a message.
const linearStall = 30 * time.Second

// linearRun is the making of the histories of two apps, which share a volume.
type linearRun struct {
	t     *testing.T
	tally *proof.Tally
	began time.Time
	apps  []*linearApp
	abort func() error // of the life

	faulty  atomic.Bool // commits fail now and then
	crashed atomic.Bool // this life of the engine is over, or about to be
	ran     sync.Map    // of linearRan

	skewed    bool // the clocks of owners differ
	transfers bool // apps are deleted, exported and imported besides
	seed      []byte
	copies    *storage.Store // of exported apps
	exports   atomic.Int64
}

// linearApp is the history of one app so far.
type linearApp struct {
	id    storage.AppID
	nears atomic.Int64 // near jobs that were asked for

	mu      sync.Mutex
	history []porcupine.Operation
	cut     []int // of the history: those that a crash of this life has cut off
}

// now is an instant in the history.
func (r *linearRun) now() int64 { return int64(time.Since(r.began)) }

// G1, G2, G3, G8, G9: what the clients of an app were told has a serial order,
// in which each call lies between its beginning and its answer, or, if its
// outcome is unknown, nowhere or between its beginning and that answer, or the
// next opening of the directory; and each job that has run did so in one
// instant, not before it was due. In every other history apps are deleted, exported
// and imported besides, each in one instant too.
func TestG2_Linearizability(t *testing.T) {
	tally := proof.NewTally(t, "linearizability")
	linearize(t, tally, proof.Pick(2, 25, 2500), proof.For(time.Hour, time.Hour, 24*time.Hour), func(i int) *linearRun {
		r := newLinearRun(t, tally)
		r.transfers = i%2 == 0
		r.run()
		return r
	})
}

// linearize makes so many histories, unless that takes longer than it may, and demands a serial
// order of each.
func linearize(t *testing.T, tally *proof.Tally, most int, limit time.Duration, live func(i int) *linearRun) {
	t.Helper()
	histories, undecided, operations, unknown := 0, 0, 0, 0
	began := time.Now()
	for i := 0; i < most && time.Since(began) < limit && !t.Failed(); i++ {
		r := live(i)
		for _, app := range r.apps {
			histories++
			operations += len(app.history)
			for _, op := range app.history {
				if op.Output.(linearAnswer).Unknown {
					unknown++
				}
			}
			if r.check(app) {
				tally.Tried(1)
			} else {
				undecided++
			}
		}
	}
	t.Logf("%d operations, of which %d have an unknown outcome; %d of %d histories were not decided", operations, unknown, undecided, histories)
	if undecided > histories/10 {
		tally.Other("%d of %d histories took too long to check", undecided, histories)
	}
}

// newLinearRun begins the histories of two apps.
func newLinearRun(t *testing.T, tally *proof.Tally) *linearRun {
	r := &linearRun{t: t, tally: tally, began: time.Now()}
	for _, id := range []storage.AppID{"acme", "globex"} {
		r.apps = append(r.apps, &linearApp{id: id})
	}
	return r
}

// linearSearch bounds the search for one serial order, which takes no time at all or, of a
// history now and then, far too long.
const linearSearch = 20 * time.Second

// check demands that the history has a serial order. It is false if that took too long to say.
func (r *linearRun) check(app *linearApp) (decided bool) {
	r.t.Helper()
	result, info := porcupine.CheckOperationsVerbose(linearModel(), app.history, linearSearch)
	if result != porcupine.Illegal {
		return result == porcupine.Ok
	}
	picture := filepath.Join(r.t.ArtifactDir(), string(app.id)+".html") // go test -artifacts keeps it
	err := porcupine.VisualizePath(linearModel(), info, picture)
	r.tally.Other("no serial order explains the history of app %s (%s); a picture of it: %s, %v", app.id, result, picture, err)
	return true
}

// run has the clients call the engine through all of its lives.
func (r *linearRun) run() {
	dir := r.t.TempDir()
	opts := actors.Options{
		Functions: linearFunctions(r.tally.Early, func(ran linearRan) { r.ran.Store(ran, true) }), Tables: []storage.Schema{linearTable},
		QueryTimeout: time.Minute, MutationTimeout: time.Minute, // of a machine that is busy otherwise, too
		Volumes: 1, Testing: actors.Testing{NoSync: rand.IntN(4) > 0, Fault: r.fault}, Logger: slog.New(slog.DiscardHandler),
		// In some histories apps go to sleep between any two calls.
		IdleAfter: []time.Duration{time.Millisecond, 10 * time.Second}[rand.IntN(2)],
	}
	for life := range linearLives {
		eng := r.mustOpen(dir, opts)
		if life == 0 && r.transfers {
			copies := r.t.TempDir()
			r.mustSeed(eng, copies)
			defer os.RemoveAll(copies)
			defer r.copies.Close()
		}
		r.faulty.Store(rand.IntN(2) == 0)
		r.live(eng)
		r.faulty.Store(false)
		r.recovers(eng)
		r.close(eng)
	}
	eng := r.mustOpen(dir, opts)
	r.finish(func(id storage.AppID, steps []linearStep) ([]linearSeen, error) {
		host, err := eng.App(id)
		if err != nil {
			return nil, err
		}
		return linearRead.Run(host.As(r.t.Context(), nil), steps)
	})
	if err := eng.Check(); err != nil {
		r.tally.Other("check at the end: %v", err)
	}
	r.close(eng)
	if err := os.RemoveAll(dir); err != nil { // there are thousands
		r.t.Error(err)
	}
}

// recovers demands that the apps of an engine that has not crashed can be written
// to, now that commits do not fail any more.
func (r *linearRun) recovers(eng *actors.Engine) {
	for _, app := range r.apps {
		host, err := eng.App(app.id)
		for began := time.Now(); err == nil && !r.crashed.Load(); r.pause() {
			if _, failed := linearWrite.Run(host.As(r.t.Context(), nil), linearOp{}); failed == nil {
				break
			} else if time.Since(began) > linearStall {
				err = failed
			}
		}
		if err != nil {
			r.tally.Other("app %s does not recover from commits that failed: %v", app.id, err)
		}
	}
}

// pause is between two looks at an engine that works.
func (r *linearRun) pause() {
	select {
	case <-time.After(2 * time.Millisecond):
	case <-r.t.Context().Done():
	}
}

// close ends a life. What it says of one that has crashed is no news.
func (r *linearRun) close(eng *actors.Engine) {
	if err := eng.Close(context.Background()); err != nil && !r.crashed.Load() {
		r.tally.Other("close: %v", err)
	}
}

// mustOpen begins a life. What the life before has left undecided is decided now.
func (r *linearRun) mustOpen(dir string, opts actors.Options) *actors.Engine {
	r.t.Helper()
	r.crashed.Store(false)
	opts.Testing.Opened = func(abort func() error) { r.abort = abort }
	eng, err := actors.Open(dir, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := eng.Check(); err != nil {
		r.tally.Other("check after opening: %v", err)
	}
	r.decide()
	return eng
}

// decide has what was left undecided have happened by now, or not at all.
func (r *linearRun) decide() {
	for _, app := range r.apps {
		for _, i := range app.cut {
			app.history[i].Return = r.now()
		}
		app.cut = nil
	}
}

// live has all clients do their operations, or as many of them as they can
// before the engine crashes, if it is to.
func (r *linearRun) live(eng *actors.Engine) {
	var left atomic.Int64 // operations before the crash
	left.Store(rand.Int64N(2 * int64(linearClients*linearOps()*len(r.apps))))
	var clients sync.WaitGroup
	for _, app := range r.apps {
		for n := range linearClients {
			clients.Go(func() {
				for range linearOps() {
					if left.Add(-1) == 0 {
						r.crashed.Store(true)
						_ = r.abort() // what was cut off is no news
					}
					if !r.operate(eng, app, n) {
						return
					}
				}
			})
		}
	}
	clients.Wait()
}

// fault is Testing.Fault: of the commits of a faulty life one in forty fails,
// half of those after they have become durable.
func (r *linearRun) fault(point string) error {
	if r.faulty.Load() && (point == "commit" || point == "committed") && rand.IntN(80) == 0 {
		return errLinearDisk
	}
	return nil
}

var errLinearDisk = errors.New("the disk is made to fail")

// operate does one operation and writes it into the history; false: the engine
// has crashed.
func (r *linearRun) operate(eng *actors.Engine, app *linearApp, client int) bool {
	host, err := eng.App(app.id)
	if err != nil {
		r.t.Error(err)
		return false
	}
	if r.transfers && rand.IntN(25) == 0 {
		return r.transfer(eng, app, client)
	}
	steps, write, fail := app.choose()
	op := porcupine.Operation{ClientId: client, Input: steps, Call: r.now()}
	var seen []linearSeen
	switch {
	case write && !fail && len(steps) == 1 && steps[0].hosts() && rand.IntN(2) == 0:
		seen = make([]linearSeen, 1)
		seen[0], err = linearSchedule(host.Scheduler(r.t.Context()), steps[0])
	case write:
		seen, err = linearWrite.Run(host.As(r.t.Context(), nil), linearOp{steps, fail})
	default:
		seen, err = linearRead.Run(host.As(r.t.Context(), nil), steps)
	}
	op.Return = r.now()
	if waited := time.Duration(op.Return - op.Call); waited > linearStall {
		r.tally.Other("app %s stood still: %+v took %v", app.id, steps, waited)
	}
	crashed := r.crashed.Load()
	var code dispatch.Code
	if err != nil {
		code = dispatch.AsError(err).Code
	}
	switch {
	case code == "" && fail:
		r.tally.Other("an operation that fails was acknowledged: %+v", steps)
	case code == "":
		op.Output = linearAnswer{Seen: seen}
		app.note(op, false)
	case write && !fail && (crashed || code == dispatch.CodeUnknown):
		op.Output = linearAnswer{Unknown: true}
		app.note(op, crashed)
	case crashed, code == dispatch.CodeUnknown, code == dispatch.CodeUnavailable, code == dispatch.CodeAborted,
		fail && code == dispatch.CodeFailedPrecondition:
		// It has read, was rolled back or was refused: whatever is seen of it
		// nonetheless has no place in the history.
	default:
		r.tally.Other("%+v: %v", steps, err)
	}
	return !crashed
}

// note writes an operation into the history. One that a crash has cut off is
// decided when the directory is opened again.
func (app *linearApp) note(op porcupine.Operation, cut bool) {
	app.mu.Lock()
	defer app.mu.Unlock()
	if cut {
		app.cut = append(app.cut, len(app.history))
	}
	app.history = append(app.history, op)
}

// choose makes up an operation: whether it is a mutation, and is to fail.
func (app *linearApp) choose() (steps []linearStep, write, fail bool) {
	if rand.IntN(10) == 0 {
		return []linearStep{{Do: "look"}}, false, false
	}
	write = rand.IntN(10) < 6
	kinds := []string{"get", "get", "job", "job", "list"}
	if write {
		kinds = []string{"get", "job", "list", "put", "add", "add", "schedule", "schedule", "schedule", "cancel", "cancel"}
	}
	for range 1 + rand.IntN(3) {
		steps = append(steps, app.step(kinds[rand.IntN(len(kinds))]))
	}
	return steps, write, write && rand.IntN(8) == 0
}

func (app *linearApp) step(kind string) linearStep {
	do := linearStep{Do: kind}
	switch kind {
	case "list":
	case "get", "put", "add":
		do.Key, do.Value = rand.IntN(linearDocs), 1+rand.IntN(1000)
	case "schedule":
		if do.Near = rand.IntN(2) == 0; do.Near {
			do.Key, do.Value = int(app.nears.Add(1)-1), rand.IntN(20)
			break
		}
		do.Key = rand.IntN(linearFars)
	default:
		if known := int(app.nears.Load()); known > 0 && rand.IntN(2) == 0 {
			do.Near, do.Key = true, max(0, known-1-rand.IntN(6))
			break
		}
		do.Key = rand.IntN(linearFars)
	}
	return do
}

// hosts says whether the host can do the step, without a function.
func (do linearStep) hosts() bool {
	return slices.Contains([]string{"schedule", "cancel", "list", "job"}, do.Do)
}

// delay is how long after it was asked for a near job is due, at least.
func (r *linearRun) delay(do linearStep) int64 {
	if r.skewed {
		return 0 // it may be due by the clock of the next owner
	}
	return int64(do.Value) * int64(time.Millisecond)
}

// finish waits until every near job has ended, and puts the runs of those that
// have succeeded into the history: each at an instant from when it was due.
func (r *linearRun) finish(read func(storage.AppID, []linearStep) ([]linearSeen, error)) {
	for _, app := range r.apps {
		look := []linearStep{{Do: "look"}}
		began := time.Now()
		var last porcupine.Operation
		for {
			call := r.now()
			seen, err := read(app.id, look)
			if err == nil && !strings.Contains(string(seen[0].All.Near), "o") {
				last = porcupine.Operation{Call: call, Input: look, Return: r.now(), Output: linearAnswer{Seen: seen}}
				break
			}
			if time.Since(began) > linearStall {
				r.tally.Lost("app %s: %v after their instants there are jobs that have not run: %+v, %v", app.id, linearStall, seen, err)
				return
			}
			r.pause()
		}
		all := last.Output.(linearAnswer).Seen[0].All
		for _, op := range slices.Clone(app.history) {
			for _, do := range op.Input.([]linearStep) {
				if do.Do == "schedule" && do.Near && all.Near.at(do.Key) == '-' {
					app.history = append(app.history, r.gone(app, op, do, last.Return)...)
				}
				if do.Do == "schedule" && do.Near && all.Near.at(do.Key) == 's' {
					app.history = append(app.history, porcupine.Operation{
						ClientId: linearClients,
						Call:     op.Call + r.delay(do), Return: last.Return, // it may run while the look is under way
						Input:  []linearStep{{Do: "fire", Key: do.Key, Near: true}},
						Output: linearAnswer{Seen: []linearSeen{{State: "o"}}},
					})
				}
			}
		}
		app.history = append(app.history, last)
	}
}
