package crash_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

// This file opens what broken workers have left behind, lets the rest run, in
// virtual time, and holds the data against the journal.

// remains are what workers have left behind.
type remains struct {
	what    string                 // what happened to them
	journal trace                  // of all their lives
	place   func(dir string) error // puts the files into the directory, which is empty
	deaths  int                    // how many lives have ended before their time
	bad     bool                   // the disk had errors, so calls may have failed
}

// restartLate is how much later than the worker has died the verifier opens:
// slots in between are missed, and left to the catch-up policy.
const restartLate = 7 * time.Second

// quietFor is how long the verifier lets what was paused rest.
const quietFor = 4 * time.Second

// bubbleBegin is what the clock of every synctest bubble shows first.
var bubbleBegin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// verify runs as a test of its own, so that one that cannot even be opened does
// not keep the others from being looked at.
func (r remains) verify(t *testing.T, tally *proof.Tally) {
	t.Helper()
	tally.Tried(1)
	t.Run(r.what, func(t *testing.T) {
		var after diary
		end := r.journal.end().Add(restartLate)
		lives := r.journal.lives()
		opts := actors.Options{
			Functions: workerFunctions(func(d said) {
				d.Life = lives
				after.note(d)
			}),
			Pools: workerPools, Tables: workerTables, Volumes: workerVolumes, Limits: dispatch.Limits{Result: 64 << 20},
			Logger:  slog.New(slog.DiscardHandler),
			Testing: actors.Testing{Clock: func() time.Time { return end.Add(time.Since(bubbleBegin)) }},
		}
		dir := t.TempDir()
		if err := r.place(dir); err != nil {
			tally.Other("%s: %v", r.what, err)
			return
		}
		actorstest.RunIn(t, dir, opts, func(h *actorstest.Harness) {
			v := &verifier{remains: r, tally: tally, h: h, opened: h.Now(), answered: map[string][]string{}}
			// What was acknowledged is there at once, before anything more is run.
			first := v.views()
			for id, view := range first {
				l := v.index(id, &view)
				l.acknowledged()
				l.chains()
				l.groups(false)
				l.ends()
			}
			h.Advance(quietFor)
			v.resume()
			v.seal()
			for range 2 { // the second time there are those that have begun by then
				h.Advance(time.Second)
				v.answer(&after)
				h.Drain()
			}
			v.journal = append(slices.Clone(r.journal), after.lines...)
			last := v.views()
			for id, view := range last {
				l := v.index(id, &view)
				l.acknowledged()
				l.ran()
				l.unique()
				l.lanes()
				l.inLine()
				l.stopped()
				l.chains()
				l.groups(true)
				l.saves()
				l.ends()
				l.ticked()
				was := first[id]
				l.stayed(&was)
			}
			v.gone()
		})
	})
}

// verifier is what one verification knows.
type verifier struct {
	remains
	tally   *proof.Tally
	h       *actorstest.Harness
	opened  time.Time
	resumed bool // what the workers have left paused

	answered map[string][]string // by the key of the call: ids are an app's own. By the verifier, and it was told that the attempt has ended by that
}

func (v *verifier) views() map[storage.AppID]appView {
	views := map[storage.AppID]appView{}
	for _, id := range workerApps {
		view, err := viewMarks.Run(v.h.Caller(id), dispatch.None{})
		if err != nil {
			v.tally.Other("%s: app %s cannot be read: %v", v.what, id, err)
			continue
		}
		views[id] = view
	}
	return views
}

// appLedger is a view of an app made easy to look things up in, beside what the
// journal says of it.
type appLedger struct {
	*verifier
	id    storage.AppID
	view  *appView
	jobs  map[storage.JobID]*storage.Job
	byKey map[string][]*storage.Job // by argument; not the ticks, nor follow-ups
	marks map[string][]mark
	did   map[string]said // calls begun
	acks  map[string]said
	fails map[string]said
	saw   []said
	told  []said
	sent  map[string][]said
}

func (v *verifier) index(id storage.AppID, view *appView) *appLedger {
	l := &appLedger{
		verifier: v, id: id, view: view,
		jobs: map[storage.JobID]*storage.Job{}, byKey: map[string][]*storage.Job{}, marks: map[string][]mark{},
		did: map[string]said{}, acks: map[string]said{}, fails: map[string]said{}, sent: map[string][]said{},
	}
	for i := range view.Jobs {
		job := &view.Jobs[i]
		l.jobs[job.ID] = job
		if job.Trigger == "" && job.Outcome == nil {
			l.byKey[keyOf(job)] = append(l.byKey[keyOf(job)], job)
		}
	}
	for _, m := range view.Marks {
		l.marks[m.Key] = append(l.marks[m.Key], m)
	}
	for _, d := range v.journal {
		if d.app() != id {
			continue
		}
		switch d.Kind {
		case saidDoes:
			l.did[d.Key] = d
		case saidAcked:
			l.acks[d.Key] = d
		case saidFailed:
			l.fails[d.Key] = d
		case saidSaw:
			l.saw = append(l.saw, d)
		case saidTold:
			l.told = append(l.told, d)
		case saidSent:
			l.sent[d.Key] = append(l.sent[d.Key], d)
		}
	}
	return l
}

// keyOf is what the job was given as its argument.
func keyOf(job *storage.Job) string {
	var key string
	if err := json.Unmarshal(job.Args, &key); err != nil {
		return string(job.Args)
	}
	return key
}

// split takes a call's key apart: "ada/cancel:run-1" is a cancel of run-1.
func split(key string) (verb, object string) {
	_, name, _ := strings.Cut(key, "/")
	verb, object, _ = strings.Cut(name, ":")
	return verb, object
}

// acknowledged verifies that the effect of every call that was acknowledged is
// there, and of one that was refused is not (G1, G2), and that nothing that was
// seen is otherwise (G8).
func (l *appLedger) acknowledged() {
	for key, ack := range l.acks {
		verb, object := split(key)
		job := l.jobs[ack.Job]
		switch {
		case verb == "stop" || verb == "go" || verb == "limit":
			l.controlled(verb, object)
			continue
		case verb == "backfill":
			l.backfill(object, false)
			continue
		case verb == "delete" || verb == "create" || verb == "update" || verb == "pause" || verb == "resume":
			l.edited(verb, object, ack)
			continue
		case object == "dead" && verb == "drop":
			if job != nil {
				l.tally.Lost("%s: %s was acknowledged, and the job is %s", l.what, key, job.State)
			}
			continue
		case verb == "drop":
			if _, ok := l.did[key+":dead"]; ok {
				continue // may have been removed
			}
		}
		if len(l.marks[key]) == 0 && (strings.HasPrefix(verb, "put") || strings.HasPrefix(verb, "plan")) {
			l.tally.Lost("%s: %s was acknowledged, and left no mark", l.what, key)
		}
		if ack.Job != "" && job == nil {
			l.tally.Lost("%s: %s was acknowledged, and job %s is not there", l.what, key, ack.Job)
		}
		if (verb == "cancel" || verb == "wait") && job != nil && storage.State(ack.Answer).Ended() && string(job.State) != ack.Answer {
			l.tally.Lost("%s: %s was answered with %s, and job %s is %s", l.what, key, ack.Answer, ack.Job, job.State)
		}
	}
	for key, failure := range l.fails {
		if !l.bad {
			l.tally.Other("%s: %s has failed: %s", l.what, key, failure.Answer)
		}
		if failure.Answer == string(dispatch.CodeUnknown) {
			continue
		}
		// It says that nothing was changed.
		if n, m := len(l.byKey[key]), len(l.marks[key]); n+m > 0 {
			l.tally.Other("%s: %s has failed with %s, and there are %d jobs and %d marks", l.what, key, failure.Answer, n, m)
		}
	}
	for _, d := range l.told {
		if job := l.jobs[d.Job]; job == nil || storage.State(d.Answer).Ended() && string(job.State) != d.Answer {
			l.tally.Lost("%s: a watch has told of job %s, %s, that it is %s, and it is %+v", l.what, d.Job, d.Key, d.Answer, job)
		}
	}
	for _, saw := range l.saw {
		if saw.Answer == "" {
			if !slices.ContainsFunc(l.marks[saw.Key], func(m mark) bool { return m.Job == saw.Job }) {
				l.tally.Lost("%s: the mark %s of job %q was seen, and is not there", l.what, saw.Key, saw.Job)
			}
			continue
		}
		if job := l.jobs[saw.Job]; job == nil || string(job.State) != saw.Answer {
			l.tally.Lost("%s: job %s was seen as %s, and is %+v", l.what, saw.Job, saw.Answer, job)
		}
	}
	if l.view.Sum != len(l.view.Marks) {
		l.tally.Other("%s: app %s has %d marks and counts %d", l.what, l.id, len(l.view.Marks), l.view.Sum)
	}
	for key, jobs := range l.byKey {
		if len(jobs) > 1 {
			l.tally.Doubled("%s: %s has made %d jobs", l.what, key, len(jobs))
		}
	}
	for key := range l.did {
		l.batch(key)
		if verb, _ := split(key); strings.HasPrefix(verb, "last") && l.acks[key].Job != "" && len(l.byKey[key]) == 0 {
			l.tally.Lost("%s: %s was acknowledged, and job %s is not that call", l.what, key, l.acks[key].Job)
		}
		// A mark and the job that was scheduled with it are there together, or neither.
		if verb, _ := split(key); strings.HasPrefix(verb, "plan") {
			if n, m := len(l.byKey[planned(key)]), len(l.marks[key]); n != m {
				l.tally.Other("%s: %s has made %d marks and %d jobs", l.what, key, m, n)
			}
		}
	}
}

// batch verifies that all of a batch is there, or nothing (G30).
func (l *appLedger) batch(key string) {
	size := batchSize
	switch verb, _ := split(key); {
	case strings.HasPrefix(verb, "pools"):
		size = poolsSize
	case strings.HasPrefix(verb, "group"):
		size = groupSize
	case !strings.HasPrefix(verb, "batch"):
		return
	}
	n := 0
	for i := range size {
		n += len(l.byKey[batched(key, i)])
	}
	_, acked := l.acks[key]
	failure, failed := l.fails[key]
	switch {
	case acked && n < size:
		l.tally.Lost("%s: %s was acknowledged, and there are %d jobs", l.what, key, n)
	case n != 0 && n != size, failed && failure.Answer != string(dispatch.CodeUnknown) && n > 0:
		l.tally.Other("%s: of %s there are %d jobs (%s)", l.what, key, n, failure.Answer)
	}
}

// unique verifies that of the jobs of a key one at most is pending (G29).
func (l *appLedger) unique() {
	pending := map[string]storage.JobID{}
	for _, job := range l.view.Jobs {
		if key := job.UniqueKey(); key != "" && job.State == storage.StatePending {
			if other := pending[key]; other != "" {
				l.tally.Doubled("%s: jobs %s and %s are pending under one key", l.what, other, job.ID)
			}
			pending[key] = job.ID
		}
	}
}

func (l *appLedger) keyed(name string) string { return string(l.id) + "/" + name }

// edited verifies the acknowledged edit of a trigger, if no later one was begun.
func (l *appLedger) edited(verb, name string, ack said) {
	i := slices.IndexFunc(l.view.Triggers, func(t storage.Trigger) bool { return t.Name == name })
	begun := func(verb string) bool { _, ok := l.did[l.keyed(verb+":"+name)]; return ok }
	if i < 0 {
		if verb != "delete" && !begun("delete") {
			l.tally.Lost("%s: app %s: %s of trigger %s was acknowledged, and it is not there", l.what, l.id, verb, name)
		}
		return
	}
	t := &l.view.Triggers[i]
	var args string
	if err := json.Unmarshal(t.Args, &args); err != nil {
		l.tally.Other("%s: trigger %s: %v", l.what, name, err)
	}
	wrong := false
	switch verb {
	case "delete":
		wrong = true
	case "create":
		wrong = t.Paused && !begun("pause") || !strings.HasSuffix(args, oldWord) && !begun("update")
	case "update":
		wrong = !strings.HasSuffix(args, newWord)
	case "pause":
		wrong = !t.Paused && !begun("resume")
	case "resume":
		wrong = t.Paused
	}
	if wrong {
		l.tally.Lost("%s: app %s: %s of trigger %s was acknowledged at %v, and it is %+v", l.what, l.id, verb, name, ack.At, *t)
	}
}

// ran verifies what has become of the jobs when all that was due has run (G3 to G5, G8).
func (l *appLedger) ran() {
	for i := range l.view.Jobs {
		l.job(&l.view.Jobs[i])
	}
	for key, all := range l.marks {
		if all[0].Trigger != "" {
			continue // see ticked
		}
		if len(all) > 1 && !strings.HasSuffix(key, noted("")) {
			l.tally.Doubled("%s: %s has left %d marks: %+v", l.what, key, len(all), all)
		}
		for _, m := range all {
			due := m.Due
			if verb, _ := split(key); strings.HasPrefix(verb, "last") {
				due = due.Add(-burstDelay) // the calls before it have put it off for as long as they may
			}
			if m.Job != "" && m.At.Before(due) {
				l.tally.Early("%s: %s was due at %v and run at %v", l.what, key, m.Due, m.At)
			}
		}
	}
	for key, lines := range l.sent {
		attempts := map[int]bool{}
		for _, d := range lines {
			if d.Job != lines[0].Job {
				l.tally.Doubled("%s: %s was sent under the keys %s and %s", l.what, key, lines[0].Job, d.Job)
			}
			if attempts[d.Attempt] {
				l.tally.Doubled("%s: %s was sent twice in attempt %d", l.what, key, d.Attempt)
			}
			attempts[d.Attempt] = true
		}
		if job := l.jobs[lines[0].Job]; job == nil {
			l.tally.Lost("%s: %s was sent for job %s, which is not there", l.what, key, lines[0].Job)
		} else if len(lines) > job.Attempts {
			l.tally.Other("%s: %s was sent %d times in %d attempts", l.what, key, len(lines), job.Attempts)
		}
	}
}

// job verifies one job.
func (l *appLedger) job(job *storage.Job) {
	key := keyOf(job)
	bad := func(format string, args ...any) {
		l.tally.Other("%s: %s: job %s (%s) is %s after %d attempts, %d failures, history %+v: "+format,
			append([]any{l.what, key, job.ID, job.Function, job.State, job.Attempts, job.Failures, job.History}, args...)...)
	}
	_, revived := l.did[key+":dead"] // then its attempts are counted anew
	interrupted, failed := 0, 0
	for i, attempt := range job.History {
		if attempt.Number != i+1 && !revived {
			bad("attempt %d is numbered %d", i+1, attempt.Number)
		}
		if attempt.Interrupted {
			interrupted++
		} else {
			failed++
		}
	}
	if failed != job.Failures && !revived {
		bad("%d failed attempts are in its history", failed)
	}
	if !l.bad && interrupted > l.deaths {
		bad("interrupted more often than the %d crashes", l.deaths)
	}
	ended := len(job.History)
	if job.State == storage.StateSuccess {
		ended++
	}
	if job.Attempts != ended && job.State != storage.StateCanceled && !revived {
		bad("%d attempts have ended", ended)
	}
	if job.State == storage.StateCanceled {
		return // see unless
	}
	want, marked := storage.StateSuccess, 1
	switch job.Function {
	case failMark.Path():
		want, marked = storage.StateFailed, 0
		if verb, _ := split(key); strings.HasPrefix(verb, "fail") && job.Failures != failRetry.MaxAttempts {
			bad("want %d failures", failRetry.MaxAttempts)
		}
		if _, ok := l.acks[key+":dead"]; ok && ended < 2 {
			l.tally.Lost("%s: %s was acknowledged to run again, and has not", l.what, key)
		}
	case flakyMark.Path():
		if job.Attempts < 3 || job.Failures > 2 {
			bad("its first two attempts fail")
		}
	case tellMark.Path():
		key = toldKey(key, job.Outcome.Ordinal)
	case poolStep.Path(), lineStep.Path():
		if marked = 0; len(l.sent[key]) == 0 && job.State == storage.StateSuccess {
			bad("it has not begun")
		}
	case saveMark.Path(), askMark.Path():
		marked = 0 // see saves and ends
	case sendMark.Path():
		marked = 0
		if len(l.byKey[childOf(key)]) != 1 {
			bad("it has %d children", len(l.byKey[childOf(key)]))
		}
		if len(l.sent[key]) == 0 || len(l.marks[noted(key)]) == 0 {
			bad("it was sent %d times and left %d notes", len(l.sent[key]), len(l.marks[noted(key)]))
		}
	case sendOnce.Path():
		marked = 0
		if job.State == storage.StateFailed && interrupted == 1 {
			want = storage.StateFailed // a crash cut it off
		}
		if n := len(l.sent[key]); n > 1 || n == 0 && want == storage.StateSuccess {
			l.tally.Doubled("%s: %s was sent %d times, and is to be sent at most once", l.what, key, n)
		}
	case tickMark.Path():
		l.tick(job, bad)
		return
	case runMark.Path():
		if strings.Contains(key, laterName) {
			want, marked = storage.StatePending, 0
		}
	}
	if state := l.mayHave(job); state != "" {
		want, marked = state, 0
	}
	if job.State != want {
		bad("want %s", want)
	}
	n := 0
	for _, m := range l.marks[key] {
		if m.Job == job.ID && m.Attempt == job.Attempts {
			n++
		}
	}
	if n != marked {
		bad("its last attempt has left %d marks", n)
	}
}

// tick verifies the job of a tick, or of a trigger that was run by hand.
func (l *appLedger) tick(job *storage.Job, bad func(string, ...any)) {
	if job.State == storage.StatePending && job.Due.After(l.h.Now()) {
		return // the next one
	}
	n := 0
	for _, m := range l.marks[keyOf(job)] {
		if m.Job == job.ID {
			n++
		}
	}
	if job.State != storage.StateSuccess || n != 1 {
		bad("it has left %d marks", n)
	}
}

// ticked verifies that each slot of each trigger was accounted for once (G19),
// and that what was fired ran once.
func (l *appLedger) ticked() {
	type slot struct {
		trigger string
		at      time.Time
	}
	marked := map[slot]int{}
	for _, m := range l.view.Marks {
		if m.Trigger == "" || m.Slot.IsZero() {
			continue
		}
		marked[slot{m.Trigger, m.Slot}]++
		_, edited := l.acks[l.keyed("update:"+m.Trigger)]
		if !m.At.Before(l.opened) && edited && strings.HasSuffix(m.Key, oldWord) {
			l.tally.Other("%s: app %s: %+v is of a definition that was replaced before the crash", l.what, l.id, m)
		}
		if m.At.Before(m.Slot) {
			l.tally.Early("%s: app %s: tick %+v", l.what, l.id, m)
		}
	}
	for s, n := range marked {
		if n > 1 {
			l.tally.Doubled("%s: app %s: slot %v of %s took effect %d times", l.what, l.id, s.at, s.trigger, n)
		}
	}
	for _, t := range l.view.Triggers {
		if t.Name == pastName {
			l.backfill(t.Name, true)
			continue
		}
		log := slices.Clone(l.view.Slots[t.Name])
		slices.SortFunc(log, func(a, b storage.Slot) int { return a.From.Compare(b.From) })
		next := t.CreatedAt.Truncate(time.Second).Add(time.Second)
		first := t.Next
		if len(log) > 0 {
			first = log[0].From
		}
		if first.Equal(next.Add(time.Second)) && !t.CreatedAt.Add(2*workerStep).Before(next) {
			next = first // the wall, which is read after the transaction's instant, showed the one before already
		}
		if byAnchor := t.Anchor.Truncate(time.Second).Add(time.Second); first.Equal(byAnchor) {
			next = first // what is written down may be ahead of the wall
		}
		if len(log) == maxSlots {
			next = log[0].From // the earlier ones are not kept
		}
		for _, s := range log {
			if !s.From.Equal(next) {
				l.tally.Other("%s: app %s: trigger %s made at %v: want slot %v, got %+v", l.what, l.id, t.Name, t.CreatedAt, next, s)
			}
			next = s.To.Add(time.Second)
			n := marked[slot{t.Name, s.From}]
			job := l.jobs[s.Job]
			_, edited := l.did[l.keyed("update:"+t.Name)]
			switch {
			case s.Outcome != storage.SlotFired && n > 0:
				l.tally.Doubled("%s: app %s: trigger %s: %+v, and it took effect", l.what, l.id, t.Name, s)
			case s.Outcome == storage.SlotCanceled:
				l.tally.Other("%s: app %s: trigger %s: %+v, and nobody canceled it", l.what, l.id, t.Name, s)
			case s.Outcome != storage.SlotFired:
			case job == nil || !job.Slot.Equal(s.From):
				l.tally.Lost("%s: app %s: trigger %s: %+v has the job %+v", l.what, l.id, t.Name, s, job)
			case job.State == storage.StateCanceled && edited: // it was cut off, and is of the old definition
			case n == 0 && !job.Due.After(l.h.Now()): // or it was claimed a little ahead
				l.tally.Lost("%s: app %s: trigger %s: %+v took no effect: %+v", l.what, l.id, t.Name, s, job)
			}
		}
		if !t.Paused && (!t.Next.Equal(next) || !t.Next.After(l.h.Now())) {
			l.tally.Other("%s: app %s: trigger %s waits for %v, want %v; it is %v", l.what, l.id, t.Name, t.Next, next, l.h.Now())
		}
	}
}

// backfill verifies that a backfill that was acknowledged is there, and in the end that one that is
// there is over, and has run each of its slots once (G22).
func (l *appLedger) backfill(name string, over bool) {
	_, acked := l.acks[l.keyed("backfill:"+name)]
	i := slices.IndexFunc(l.view.Triggers, func(t storage.Trigger) bool { return t.Name == name })
	if i < 0 || l.view.Triggers[i].Backfill == nil {
		if acked {
			l.tally.Lost("%s: app %s: the backfill of %s was acknowledged, and is not there", l.what, l.id, name)
		}
		return
	}
	b := l.view.Triggers[i].Backfill
	if !over {
		return
	}
	ran := map[time.Time]bool{}
	for _, m := range l.view.Marks {
		if m.Trigger == name && !m.Slot.IsZero() {
			ran[m.Slot.UTC()] = true // more than once is told of all triggers
		}
	}
	for n := range pastMonths {
		if slot := pastFrom.AddDate(0, n, 0); !ran[slot] {
			l.tally.Lost("%s: app %s: slot %v of the backfill of %s has not run: %+v", l.what, l.id, slot, name, b)
		}
	}
	if b.Active() || b.Begun != pastMonths || len(ran) != pastMonths {
		l.tally.Other("%s: app %s: the backfill of %s is %+v, and has run %d slots of %d", l.what, l.id, name, b, len(ran), pastMonths)
	}
}

// stayed verifies that nothing that had ended when the store was opened is
// otherwise now (G8).
func (l *appLedger) stayed(was *appView) {
	for i := range was.Jobs {
		job := &was.Jobs[i]
		now := l.jobs[job.ID]
		if job.State.Ended() && (now == nil || now.State != job.State || now.Attempts != job.Attempts || !now.CompletedAt.Equal(job.CompletedAt)) {
			l.tally.Other("%s: job %+v had ended, and now is %+v", l.what, job, now)
		}
		if now != nil && !bytes.Equal(now.Args, job.Args) {
			l.tally.Other("%s: job %+v has other arguments now: %+v", l.what, job, now)
		}
	}
}

// gone verifies that an app whose deletion was acknowledged is not there.
func (v *verifier) gone() {
	ids, err := v.h.Engine.Apps()
	if err != nil {
		v.tally.Other("%s: %v", v.what, err)
	}
	deleted := slices.ContainsFunc(v.journal, func(d said) bool { return d.Kind == saidAcked && d.Key == string(goneApp)+"/delete" })
	if deleted && slices.Contains(ids, goneApp) {
		v.tally.Lost("%s: the deletion of app %s was acknowledged, and it is there", v.what, goneApp)
	}
	for _, id := range ids {
		if id != goneApp && !slices.Contains(workerApps, id) {
			v.tally.Leaked("%s: there is an app %s", v.what, id)
		}
	}
}
