package kill_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// Some jobs of the observed server are given other arguments before they run: by later calls of
// their key, which replace or throttle them (G29), or by a reschedule of one (G8). And each app
// has a trigger that is run for two years that have long passed (G22). Each run writes down what it
// was told, and each call what it has asked for, in the transaction that asks.

// killRevision is the argument of what asks for a revision.
type killRevision struct {
	Kind    string // replace, throttle or args
	Key     string
	N       int           // which revision it is
	Job     storage.JobID // to change; "": a job is scheduled
	AfterMs int
}

// killRevised is the argument of the job, and left behind by its run; or by what has asked for it.
type killRevised struct {
	Key   string    `json:"key"`
	N     int       `json:"n"`
	Asked bool      `json:"asked"`
	At    time.Time `json:"at"`   // when its transaction began
	Slot  time.Time `json:"slot"` // of a tick
}

// killRevisionSeen is what there is of a key.
type killRevisionSeen struct {
	Asked, Ran     []int
	AskedAt, RanAt []time.Time // of each
	Slots          []time.Time
	Backfill       *storage.Backfill
}

var (
	killRevisions = storage.NewTable[killRevised]("killRevisions", storage.Index("by_key", "key"))

	killRevise      = dispatch.Mutation[killRevision, killChanged]("revised:ask")
	killRevisedRun  = dispatch.InternalMutation[killRevised, dispatch.None]("revised:run")
	killRevisedLook = dispatch.Query[string, killRevisionSeen]("revised:look")
	killPastStart   = dispatch.Mutation[dispatch.None, killChanged]("past:start")
	killPastRun     = dispatch.InternalMutation[dispatch.None, dispatch.None]("past:run")
	killPastLook    = dispatch.Mutation[dispatch.None, killRevisionSeen]("past:look")
)

// killChanged is what the client is answered.
type killChanged struct {
	Job     storage.JobID
	Changed bool
}

const (
	killThrottle = 100 * time.Millisecond
	killPast     = "past" // the trigger, and the key of its runs
	killPastEach = 24     // slots of it
)

// killPastFrom and killPastTo are the span of the trigger's slots.
var (
	killPastFrom = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	killPastTo   = time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
)

func handleRevisions(reg *dispatch.Registry) {
	killRevise.Handle(reg, func(ctx *dispatch.MutationCtx, args killRevision) (made killChanged, err error) {
		run := killRevised{Key: args.Key, N: args.N}
		call := killRevisedRun.With(run)
		switch {
		case args.Job != "":
			var answer storage.Rescheduling
			answer, err = ctx.Scheduler.Reschedule(args.Job, dispatch.NewArgs(call))
			made = killChanged{args.Job, answer.Changed}
		default:
			var opts []dispatch.RunOption
			switch args.Kind {
			case "replace":
				opts = append(opts, dispatch.Unique(args.Key, dispatch.Replace()))
			case "throttle":
				opts = append(opts, dispatch.Unique(args.Key, dispatch.Throttle(killThrottle)))
			}
			made.Changed = true
			made.Job, err = ctx.Scheduler.RunAfter(time.Duration(args.AfterMs)*time.Millisecond, call, opts...)
		}
		if err == nil && made.Changed {
			run.Asked, run.At = true, ctx.Now
			_, err = killRevisions.Insert(ctx.DB, run)
		}
		return made, err
	})
	killRevisedRun.Handle(reg, func(ctx *dispatch.MutationCtx, run killRevised) (dispatch.None, error) {
		run.At = ctx.Now
		_, err := killRevisions.Insert(ctx.DB, run)
		return dispatch.None{}, err
	})
	killRevisedLook.Handle(reg, func(ctx *dispatch.QueryCtx, key string) (killRevisionSeen, error) { return revisionsOf(ctx.DB, key) })
	killPastStart.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (killChanged, error) {
		crons := ctx.Scheduler.Crons()
		if err := crons.Create(dispatch.Trigger{Name: killPast, Schedule: cron.Monthly(1, 0, 0), Call: killPastRun.With(dispatch.None{})}); err != nil {
			return killChanged{}, err
		}
		_, err := crons.Backfill(killPast, dispatch.Backfill{From: killPastFrom, To: killPastTo})
		return killChanged{}, err
	})
	killPastRun.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := killRevisions.Insert(ctx.DB, killRevised{Key: killPast, Slot: ctx.Tick.Slot})
		return dispatch.None{}, err
	})
	killPastLook.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (seen killRevisionSeen, err error) {
		if seen, err = revisionsOf(ctx.DB, killPast); err != nil {
			return seen, err
		}
		info, _, err := ctx.Scheduler.Crons().Get(killPast)
		seen.Backfill = info.Backfill
		return seen, err
	})
}

func revisionsOf(db storage.Reader, key string) (seen killRevisionSeen, err error) {
	for doc, err := range killRevisions.Query(db).By("by_key").Eq(key).All() {
		switch {
		case err != nil:
			return seen, err
		case !doc.Value.Slot.IsZero():
			if slot := doc.Value.Slot; slot.Before(killPastTo) { // and none of the present
				seen.Slots = append(seen.Slots, slot)
			}
		case doc.Value.Asked:
			seen.Asked, seen.AskedAt = append(seen.Asked, doc.Value.N), append(seen.AskedAt, doc.Value.At)
		default:
			seen.Ran, seen.RanAt = append(seen.Ran, doc.Value.N), append(seen.RanAt, doc.Value.At)
		}
	}
	return seen, nil
}

// killRevisionsEach is how many revisions a client asks for of one key.
const killRevisionsEach = 10

// revise asks for a revision; of a throttled key for three, so that they come too soon.
func (c *killClient) revise(life *killLife, d *killOp) error {
	kind := []string{"replace", "throttle", "args"}[rand.IntN(3)]
	if kind == "throttle" {
		for range 2 {
			one := *d
			if err := c.reviseOne(life, &one, kind); err != nil {
				return err
			}
			c.seq++
			d.Seq = c.seq
		}
	}
	return c.reviseOne(life, d, kind)
}

func (c *killClient) reviseOne(life *killLife, d *killOp, kind string) error {
	d.Kind = kind
	args := killRevision{Kind: d.Kind, AfterMs: rand.IntN(200)}
	if kind == "throttle" {
		args.AfterMs = rand.IntN(20)
	}
	if d.Revision = 1; d.Kind != "args" {
		if c.revisions == nil {
			c.revisions = map[string]int{}
		}
		d.Key = fmt.Sprintf("c%d-%s-%d", c.n, d.Kind, c.revisions[d.Kind]/killRevisionsEach)
		d.Revision += c.revisions[d.Kind]
		c.revisions[d.Kind]++
	}
	args.Key, args.N = d.Key, d.Revision
	if err := c.note(*d); err != nil {
		return err
	}
	var made killChanged
	if err := c.loop.call(life, c.app, killRevise.Path(), args, &made); err != nil {
		return err
	}
	d.Acked, d.Job = true, made.Job
	if err := c.note(*d); err != nil || d.Kind != "args" || rand.IntN(4) == 0 {
		return err
	}
	d.Changes, d.Revision = true, 2
	if err := c.note(*d); err != nil {
		return err
	}
	c.loop.pause(time.Duration(rand.IntN(args.AfterMs+20)) * time.Millisecond)
	args.N, args.Job = d.Revision, made.Job
	if err := c.loop.call(life, c.app, killRevise.Path(), args, &made); err != nil {
		return err
	}
	d.Told, d.Changed = true, made.Changed
	return c.note(*d)
}

// revised looks at the revisions of an op's key.
func (v *killVerdict) revised(d killOp) error {
	var seen killRevisionSeen
	if err := v.call(v.life, d.App, killRevisedLook.Path(), d.Key, &seen); err != nil {
		return err
	}
	if d.Kind == "throttle" {
		checkApart(v.tally, d, &seen)
	}
	checkRevisions(v.tally, d, &seen)
	return nil
}

// checkApart demands that the starts of a throttled key are apart, over kills, too. A run begins no
// earlier than the call that asked for it, and the one after it that much later; by when its own
// transaction begins it has. So, however long a run waits for its turn, of two runs the later one
// has its transaction no sooner than so many spans after the former was asked for.
func checkApart(to killFinder, d killOp, seen *killRevisionSeen) {
	type ran struct{ asked, at time.Time }
	var runs []ran
	for i, n := range seen.Ran {
		if k := slices.Index(seen.Asked, n); k >= 0 { // else checkRevisions tells
			runs = append(runs, ran{seen.AskedAt[k], seen.RanAt[i]})
		}
	}
	slices.SortFunc(runs, func(a, b ran) int { return a.at.Compare(b.at) })
	for i, last := range runs {
		for k, first := range runs[:i] {
			if span, least := last.at.Sub(first.asked), time.Duration(i-k)*killThrottle-killClock; span < least {
				to.Doubled("of %s, that starts once in %v, run %d began %v after run %d was asked for, want %v: %+v", d.Key, killThrottle, i, span, k, least, seen)
				return
			}
		}
	}
}

// checkRevisions demands that what was acknowledged was asked for, that no revision has run twice
// or without being asked for, and that the last one has. Of a job whose arguments were changed
// only the latest runs.
func checkRevisions(to killFinder, d killOp, seen *killRevisionSeen) {
	first := d.Revision
	if d.Changes {
		first = 1
	}
	if d.Acked && !slices.Contains(seen.Asked, first) {
		to.Lost("revision %d of %s was acknowledged, and is not there: %+v", first, d.Key, seen)
	}
	slices.Sort(seen.Ran)
	for i, n := range seen.Ran {
		switch {
		case i > 0 && seen.Ran[i-1] == n:
			to.Doubled("revision %d of %s has run twice: %+v", n, d.Key, seen)
		case !slices.Contains(seen.Asked, n):
			to.Other("revision %d of %s has run, which is not there: %+v", n, d.Key, seen)
		}
	}
	if len(seen.Asked) > 0 && !slices.Contains(seen.Ran, slices.Max(seen.Asked)) {
		to.Lost("the last revision of %s has not run: %+v", d.Key, seen)
	}
	if d.Kind != "args" {
		return
	}
	if changed := slices.Contains(seen.Asked, 2); d.Told && changed != d.Changed {
		to.Other("the change of %s was answered %t: %+v", d.Key, d.Changed, seen)
	}
	if len(seen.Ran) > 1 && seen.Ran[0] != seen.Ran[1] {
		to.Doubled("%s has run with two revisions: %+v", d.Key, seen)
	}
}

// past waits until the backfill of an op is over and its last tick, which has begun by then, has run,
// and looks at its slots.
func (v *killVerdict) past(d killOp) error {
	for limit := time.Now().Add(killTimeout); ; v.pause(50 * time.Millisecond) {
		var seen killRevisionSeen
		if err := v.call(v.life, d.App, killPastLook.Path(), nil, &seen); err != nil {
			return err
		}
		b := seen.Backfill
		if over := b == nil || !b.Active() && len(seen.Slots) >= b.Begun; over || time.Now().After(limit) {
			checkPast(v.tally, d, &seen)
			return nil
		}
	}
}

// checkPast demands that a backfill is there that was acknowledged, and has run each of its slots
// once.
func checkPast(to killFinder, d killOp, seen *killRevisionSeen) {
	b := seen.Backfill
	switch {
	case b == nil && d.Acked:
		to.Lost("the backfill of app %s was acknowledged, and is not there", d.App)
	case b == nil && len(seen.Slots) > 0:
		to.Other("app %s has run slots of a backfill that is not there: %v", d.App, seen.Slots)
	case b != nil && (b.Active() || b.Slots != killPastEach || b.Begun != killPastEach):
		to.Lost("the backfill of app %s is not over, or has not all slots: %+v", d.App, b)
	}
	slices.SortFunc(seen.Slots, time.Time.Compare)
	for i := 1; i < len(seen.Slots); i++ {
		if seen.Slots[i].Equal(seen.Slots[i-1]) {
			to.Doubled("slot %v of the backfill of app %s has run twice", seen.Slots[i], d.App)
		}
	}
	if n := len(slices.CompactFunc(seen.Slots, time.Time.Equal)); b != nil && n != killPastEach {
		to.Lost("of the backfill of app %s %d slots have run, of %d", d.App, n, killPastEach)
	}
}
