package kill_test

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	sampleapp "carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// killVerdict compares what clients and the observer have written down with what
// the server shows after its last kill.
type killVerdict struct {
	*killLoop
	life     *killLife
	attempts map[string]*killAttempts // by idempotency key
	canceled map[string]bool          // likewise: somebody has asked for it
	saved    map[string]int           // likewise: pages
}

// verify reads all logs and looks at each op.
func (l *killLoop) verify(life *killLife) (ops int) {
	v := &killVerdict{killLoop: l, life: life, attempts: l.observer.verify(l.tally), canceled: map[string]bool{}}
	logs := make([][]killOp, len(l.clients))
	for i, c := range l.clients {
		var err error
		if logs[i], err = readOps(c.log.Name()); err != nil {
			l.t.Fatal(err)
		}
		ops += len(logs[i])
		for _, d := range logs[i] {
			if d.Do == "jobs:cancel" {
				v.canceled[d.job(d.Job)] = true
			}
		}
	}
	if l.observer != nil {
		v.saved = checkNotes(l.tally, l.observer.notes)
		l.answers.verify(life, v.canceled)
		l.watchers.verify(v, logs)
	}
	var work sync.WaitGroup
	for _, log := range logs {
		work.Go(func() {
			for _, d := range log {
				if err := v.op(d); err != nil {
					l.tally.Other("%s of client with app %s: %+v: %v", d.Do, d.App, d, err)
				}
			}
		})
	}
	work.Wait()
	return ops
}

// op looks at one op. The error is about a request that the server refuses.
func (v *killVerdict) op(d killOp) error {
	switch d.Do {
	case "jobs:cancel":
		return v.cancel(d)
	case "counters:later", "counters:fail":
		return v.count(d)
	case "posts:publish":
		var sent []sampleapp.Notification
		if err := v.call(v.life, d.App, "notifications:list", map[string]any{"postId": d.Post}, &sent); err != nil {
			return err
		}
		ran, err := v.ran(d)
		switch {
		case err != nil:
			return err
		case len(sent) > 1 || len(sent) == 1 && d.Acked && sent[0].Key != d.Jobs[0]:
			v.tally.Doubled("post %s, published as job %v, was notified as %+v", d.Post, d.Jobs, sent)
		case len(sent) == 0 && ran > 0:
			v.tally.Lost("post %s, published as job %v, was not notified", d.Post, d.Jobs)
		}
	case "search:edit":
		return v.debounce(d)
	case "campaign:start":
		return v.batch(d)
	case "orders:place":
		ran, err := v.ran(d)
		if err != nil || ran == 0 {
			return err
		}
		var order sampleapp.Order
		if err := v.call(v.life, d.App, "orders:get", map[string]any{"orderId": d.Order}, &order); err != nil {
			return err
		}
		if order.State != sampleapp.Paid || order.Charge != d.Jobs[0] {
			v.tally.Lost("order %s, charged by job %s, is %+v", d.Order, d.Jobs[0], order)
		}
	case "observer:later":
		return v.action(d)
	case "chain:later":
		return v.chain(d)
	case "group:start":
		return v.group(d)
	case "export:later":
		return v.pages(d)
	case "ask:later":
		return v.ask(d)
	case "revised:ask":
		return v.revised(d)
	case "past:start":
		return v.past(d)
	}
	return nil
}

// count demands that each job of the op that has run counts once, and no
// other: all of them and their effects are there, or none is.
func (v *killVerdict) count(d killOp) error {
	var counter struct{ Count int }
	if err := v.call(v.life, d.App, "counters:get", map[string]any{"key": d.Key}, &counter); err != nil {
		return err
	}
	want, err := v.ran(d)
	if err != nil {
		return err
	}
	if !d.Acked && counter.Count != 0 {
		want = d.N
	}
	switch {
	case counter.Count < want:
		v.tally.Lost("counter %s is %d, want %d (acknowledged: %v)", d.Key, counter.Count, want, d.Acked)
	case counter.Count > want:
		v.tally.Doubled("counter %s is %d, want %d (acknowledged: %v)", d.Key, counter.Count, want, d.Acked)
	}
	return nil
}

// debounce demands that a page's job, which each edit replaces, has indexed the last one,
// unless it was canceled.
func (v *killVerdict) debounce(d killOp) error {
	var page sampleapp.Page
	if err := v.call(v.life, d.App, "search:read", map[string]any{"pageId": d.Post}, &page); err != nil {
		return err
	}
	canceled := slices.ContainsFunc(d.Jobs, func(id storage.JobID) bool { return v.canceled[d.job(id)] })
	switch {
	case d.Acked && page.Text != d.Key:
		v.tally.Lost("the edit %s of page %s was acknowledged, and it is %+v", d.Key, d.Post, page)
	case page.Indexed != page.Text && !canceled:
		v.tally.Lost("page %s, to be indexed by job %v, is %+v", d.Post, d.Jobs, page)
	}
	_, err := v.ran(d)
	return err
}

// batch demands that all jobs of a campaign have run, each once.
func (v *killVerdict) batch(d killOp) error {
	if !d.Acked {
		return nil // its id is not known
	}
	var campaign sampleapp.Campaign
	if err := v.call(v.life, d.App, "campaign:get", map[string]any{"campaignId": d.Post}, &campaign); err != nil {
		return err
	}
	switch {
	case campaign.Sent < d.N:
		v.tally.Lost("of campaign %s %d of %d jobs have run", d.Post, campaign.Sent, d.N)
	case campaign.Sent > d.N:
		v.tally.Doubled("of campaign %s %d jobs have run, of %d", d.Post, campaign.Sent, d.N)
	}
	return nil
}

// action compares an action's job with what the observer has heard.
func (v *killVerdict) action(d killOp) error {
	ran, err := v.ran(d)
	if err != nil || !d.Acked {
		return err
	}
	seen := v.attempts[d.job(d.Jobs[0])]
	switch {
	case seen == nil && ran > 0:
		v.tally.Lost("action %s is a success of which the observer has not heard", d.Jobs[0])
	case seen == nil:
	case seen.key != d.Key:
		v.tally.Doubled("%s was scheduled as job %s, and %s ran as it", d.Key, d.Jobs[0], seen.key)
	case ran > 0 && !seen.good:
		v.tally.Lost("action %s is a success, and none of its attempts ended well: %+v", d.Jobs[0], seen)
	case ran > 0 && d.Once && d.Stuck > 0:
		v.tally.Doubled("action %s, to run at most once, is a success, and was given up", d.Jobs[0])
	case d.Once && len(seen.began) > 1:
		v.tally.Doubled("action %s, to run at most once, began %d times", d.Jobs[0], len(seen.began))
	}
	return nil
}

// ran demands that every job of an acknowledged op is known and has ended as
// it should, and says how many are a success.
func (v *killVerdict) ran(d killOp) (n int, err error) {
	for _, id := range d.Jobs {
		row, known, err := v.job(d.App, id)
		if err != nil {
			return n, err
		}
		if !known {
			v.tally.Lost("job %s of %s was acknowledged and is not there", id, d.Key)
			continue
		}
		if row.StartedAt != nil && row.StartedAt.Before(row.ScheduledFor) {
			v.tally.Early("job %s, due at %v, started at %v", id, row.ScheduledFor, row.StartedAt)
		}
		switch {
		case row.State == storage.StateSuccess:
			n++
			if row.Attempts <= d.Fails {
				v.tally.Lost("job %s is a success at attempt %d, and the first %d have failed", id, row.Attempts, d.Fails)
			}
		case row.State == storage.StateCanceled && v.canceled[d.job(id)]:
		case row.State == storage.StateFailed && d.Once:
		case row.State == storage.StateExpired && d.Late:
		default:
			v.tally.Lost("job %s of %s has not run: it is %s after %d attempts: %+v", id, d.Key, row.State, row.Attempts, row.Error)
		}
		if seen := v.attempts[d.job(id)]; seen != nil {
			for attempt := range seen.began {
				if attempt > row.Attempts {
					v.tally.Doubled("attempt %d of job %s began, and it has had %d", attempt, id, row.Attempts)
				}
			}
		}
	}
	return n, nil
}

// cancel demands that the answer to a cancel was true, and still is.
func (v *killVerdict) cancel(d killOp) error {
	row, known, err := v.job(d.App, d.Job)
	if err != nil || !known || !d.Acked {
		return err // one that is not known was lost: see ran
	}
	switch {
	case d.Canceled && row.State != storage.StateCanceled:
		v.tally.Lost("the cancel of job %s was acknowledged, and it is %s", d.Job, row.State)
	case !d.Canceled && row.State != d.Found:
		v.tally.Other("job %s was %s, which is final, and is %s", d.Job, d.Found, row.State)
	case d.Canceled && v.observer != nil && v.observer.beganAfter(d.job(d.Job), d.Reports, d.Life, d.Found == storage.StatePending):
		v.tally.Doubled("job %s began after its cancel was acknowledged in life %d; it was found %s", d.Job, d.Life, d.Found)
	}
	return nil
}

// job reads a row of the system table.
func (v *killVerdict) job(app string, id storage.JobID) (row sampleapp.JobRow, known bool, err error) {
	err = v.call(v.life, app, "jobs:get", map[string]any{"id": id}, &row)
	var refused *killRefusal
	if errors.As(err, &refused) && refused.Code == dispatch.CodeNotFound {
		return row, false, nil
	}
	return row, err == nil, err
}

// killSlots is how the slots of one trigger have ended, as far as was seen.
type killSlots struct {
	app, trigger string
	every        time.Duration
	outcomes     map[time.Time]api.SlotOutcome
}

// look takes in the latest slots. What was once told of a slot is final.
func (s *killSlots) look(l *killLoop, life *killLife) {
	var info api.Cron
	if err := l.ask(life, http.MethodGet, s.app, "/crons/"+s.trigger+"?slots=200", nil, &info); err != nil {
		l.tally.Other("the slots of %s of app %s: %v", s.trigger, s.app, err)
		return
	}
	for _, slot := range info.Slots {
		for at := slot.From; !at.After(slot.To); at = at.Add(s.every) {
			if was, known := s.outcomes[at.UTC()]; known && was != slot.Outcome {
				l.tally.Other("slot %v of %s of app %s was %s and is %s", at, s.trigger, s.app, was, slot.Outcome)
			}
			s.outcomes[at.UTC()] = slot.Outcome
		}
	}
}

// verify demands that no slot is missing between the first and the last, and
// that those which have fired are the beats, if it is the heartbeat, or as many
// as were counted.
func (s *killSlots) verify(l *killLoop, life *killLife) {
	var first, last time.Time
	fired := 0
	for at, outcome := range s.outcomes {
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
		if outcome == api.SlotFired {
			fired++
		}
	}
	for at := first; at.Before(last); at = at.Add(s.every) {
		if s.outcomes[at] == "" {
			l.tally.Lost("slot %v of %s of app %s is not accounted for", at, s.trigger, s.app)
		}
	}
	count := 0
	if s.trigger == "heartbeat" {
		var beats []sampleapp.Beat
		if err := l.call(life, s.app, "heartbeat:list", nil, &beats); err != nil {
			l.tally.Other("beats of app %s: %v", s.app, err)
		}
		count = len(beats)
		for _, beat := range beats {
			if s.outcomes[beat.Slot.UTC()] != api.SlotFired {
				l.tally.Other("app %s has a beat of slot %v, which is %q", s.app, beat.Slot, s.outcomes[beat.Slot.UTC()])
			}
		}
	} else {
		var counter struct{ Count int }
		if err := l.call(life, s.app, "counters:get", map[string]any{"key": s.trigger}, &counter); err != nil {
			l.tally.Other("ticks of app %s: %v", s.app, err)
		}
		count = counter.Count
	}
	switch {
	case count < fired:
		l.tally.Lost("%d slots of %s of app %s have fired, and %d have counted", fired, s.trigger, s.app, count)
	case count > fired:
		l.tally.Doubled("%d slots of %s of app %s have fired, and %d have counted", fired, s.trigger, s.app, count)
	}
	l.ticks += fired
}
