package actors_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// cronStep is one step of a random history: what to do, to which trigger, with
// which numbers. Histories are drawn beforehand, outside the bubble.
type cronStep struct {
	What    string
	Trigger int
	N       int // of a spec, a step of the clock, …
	Millis  int // how much time passes afterwards
}

var cronSteps = []string{
	"wait", "wait", "wait", "wait", "create", "create", "update", "update", "pause", "resume", "resume",
	"delete", "cancel", "runnow", "crash", "downtime", "restart", "clock", "suspend", "slow", "flaky", "calm",
	"backfill", "backfill", "unfill",
}

var cronSpecs = []string{
	"*/1 * * * * *", "*/2 * * * * *", "*/5 * * * * *", "*/10 * * * * *", "3,17,18 * * * * *", "* * * * *",
	"@every 1s", "@every 1500ms", "@every 7s", "@every 1m1s",
}

var (
	cronOverlaps = []storage.Overlap{storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace}
	cronCatchUps = []storage.CatchUp{
		{Mode: storage.CatchUpOne},
		{Mode: storage.CatchUpNone},
		{Mode: storage.CatchUpAll, Limit: 5},
		{Mode: storage.CatchUpAll, Limit: 100, Window: 20 * time.Second},
	}
	clockSteps = []time.Duration{
		time.Second, -time.Second, 3 * time.Second, time.Minute, -time.Minute, time.Hour, -time.Hour,
		24 * time.Hour, 10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour,
	}
)

// changedReason is why a slot is skipped that an update has taken back.
const changedReason = "the trigger was changed"

// epoch is how long a trigger had one schedule.
type epoch struct {
	schedule *cron.Schedule
	made     time.Time // the wall when it began
	since    time.Time // no slot of the schedule up to here needs to be there
	until    time.Time // the wall when it was changed; zero: it is the last
}

// cronModel is what is known of one trigger that exists.
type cronModel struct {
	words  map[string]bool // of its definitions: those of an earlier trigger of the name are others
	def    dispatch.Trigger
	epochs []epoch
	paused bool
	acts   bool                   // one of its definitions ran an action, which may begin more than once
	log    map[int64]storage.Slot // by From, all that was seen since the wall was set last
	spent  map[int64]bool         // slots that had fired, or were canceled, before that
	from   time.Time              // up to here all was decided then
	spans  []storage.Backfill     // that were asked for
	filled map[int64]storage.Slot // by From, the latest of slots of those
}

// fills says whether the entry may be of a slot of a backfill.
func (m *cronModel) fills(s storage.Slot) bool {
	return s.To.Equal(s.From) && slices.ContainsFunc(m.spans, func(b storage.Backfill) bool {
		return !s.At.Before(b.AskedAt) && !s.From.Before(b.From) && s.From.Before(b.To)
	})
}

// ranAgain says whether the slot may have run more than once.
func (m *cronModel) ranAgain(at time.Time) bool {
	return slices.ContainsFunc(m.spans, func(b storage.Backfill) bool {
		return b.Again && !at.Before(b.From) && at.Before(b.To)
	})
}

// after is the slot after the instant that has not been spent.
func (m *cronModel) after(schedule *cron.Schedule, at time.Time) time.Time {
	next := schedule.Next(at)
	for m.spent[next.UnixMilli()] {
		next = schedule.Next(next)
	}
	return next
}

// cronHistory plays one history and remembers the first thing that is wrong.
type cronHistory struct {
	r      *cronHarness
	models map[string]*cronModel
	made   int
	wrong  []string
}

func (h *cronHistory) bad(format string, args ...any) {
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

func (h *cronHistory) def(s cronStep) dispatch.Trigger {
	h.made++
	// The argument tells each definition from every other.
	word := fmt.Sprint(h.made)
	call := cronFlaky.With(word)
	if s.N/7%3 == 0 {
		call = cronSlow.With(word)
	}
	return dispatch.Trigger{
		Name: fmt.Sprintf("t%d", s.Trigger), Schedule: cron.Expr(cronSpecs[s.N%len(cronSpecs)]), Call: call,
		Overlap: cronOverlaps[s.N/3%len(cronOverlaps)], CatchUp: cronCatchUps[s.N/5%len(cronCatchUps)],
		Jitter: time.Duration(s.N%3/2) * 1700 * time.Millisecond,
		Retry:  &dispatch.RetryPolicy{MaxAttempts: 3, Base: 1300 * time.Millisecond},
		Paused: s.N%11 == 0,
	}
}

// begin is the model's part of a create or an update at the wall time.
// decided is up to which slot everything was decided before: after a step back
// of the clock that is ahead of the wall, and such slots come only if they are
// those of a tick that was taken back before it began.
func (h *cronHistory) begin(m *cronModel, def dispatch.Trigger, wall, decided time.Time) {
	info := h.r.info("acme", def.Name)
	m.words[fmt.Sprint(h.made)] = true
	m.acts = m.acts || def.Call.Path() == cronSlow.Path()
	schedule, err := def.Schedule.Compile(def.Zone)
	if err != nil {
		h.bad("compile: %v", err)
		return
	}
	since := maxTime(wall, decided)
	if n := len(m.epochs); n > 0 {
		if m.def.Schedule == def.Schedule {
			m.def = def
			return // the slots are the same
		}
		if last := h.takenBack(m); last.After(since) {
			since = last
		}
		m.epochs[n-1].until = since
	}
	m.epochs = append(m.epochs, epoch{schedule: schedule.WithAnchor(info.Anchor), made: wall, since: since})
	m.def = def
}

// takenBack is the last slot that the update of just now has taken back. It lies
// ahead of what was decided before if the update found its tick not yet claimed,
// but near enough to be.
func (h *cronHistory) takenBack(m *cronModel) (last time.Time) {
	slots, err := h.r.crons("acme").Slots(m.def.Name, 200)
	if err != nil {
		h.bad("slots: %v", err)
	}
	for _, s := range slots {
		old := m.log[s.From.UnixMilli()]
		if s.Reason == changedReason && (old.Reason != s.Reason || !old.At.Equal(s.At)) {
			last = maxTime(last, s.From)
		}
	}
	return last
}

// corrected is the model's part of a step of the wall: each trigger goes on after what
// it says was decided, and what has fired comes no more.
func (h *cronHistory) corrected() {
	for name, m := range h.models {
		info := h.r.info("acme", name)
		if wall := h.r.Now(); info.Anchor.After(wall) || info.Decided.After(wall.Add(time.Second)) && len(m.log) > 0 {
			for _, s := range m.log {
				if s.From.Equal(info.Decided) && s.Outcome == storage.SlotCanceled {
					continue // a tick ahead was canceled since
				}
			}
			h.bad("trigger %s: made at %v, decided up to %v, and the wall shows %v", name, info.Anchor, info.Decided, wall)
		}
		for _, log := range []map[int64]storage.Slot{m.log, m.filled} {
			for at, s := range log {
				if s.Outcome == storage.SlotFired || s.Outcome == storage.SlotCanceled {
					m.spent[at] = true
				}
			}
		}
		m.log = map[int64]storage.Slot{}
		last := m.epochs[len(m.epochs)-1]
		since := maxTime(info.Anchor, info.Decided)
		m.from = since
		m.epochs = []epoch{{schedule: last.schedule.WithAnchor(info.Anchor), made: since, since: since}}
	}
}

func (h *cronHistory) play(s cronStep) {
	r, name := h.r, fmt.Sprintf("t%d", s.Trigger)
	m, crons, wall := h.models[name], r.crons("acme"), r.Now()
	want := func(err error, ok bool) bool {
		switch code := cronCode(err); {
		case ok && err != nil:
			h.bad("%s %s: %v", s.What, name, err)
		case !ok && code != dispatch.CodeNotFound && code != dispatch.CodeAlreadyExists:
			h.bad("%s %s: %v", s.What, name, err)
		}
		return ok && err == nil
	}
	switch s.What {
	case "create":
		def := h.def(s)
		if want(crons.Create(def), m == nil) {
			m = &cronModel{words: map[string]bool{}, log: map[int64]storage.Slot{}, filled: map[int64]storage.Slot{}, spent: map[int64]bool{}, paused: def.Paused}
			h.models[name] = m
			h.begin(m, def, wall, time.Time{})
		}
	case "update":
		def := h.def(s)
		h.check() // of what the log says until now
		var decided time.Time
		if m != nil {
			decided = r.info("acme", name).Decided
		}
		if want(crons.Update(def), m != nil) {
			h.begin(m, def, wall, decided)
		}
	case "delete":
		h.check()
		if want(crons.Delete(name), m != nil) {
			delete(h.models, name)
		}
	case "pause":
		if want(crons.Pause(name, "model"), m != nil) {
			m.paused = true
		}
	case "resume":
		if want(crons.Resume(name), m != nil) {
			m.paused = false
		}
	case "runnow":
		_, err := crons.RunNow(name)
		want(err, m != nil)
	case "backfill":
		// With the slots that come meanwhile it is less than the log keeps.
		of := dispatch.Backfill{From: wall.Add(-time.Duration(s.N%60+1) * time.Second), To: wall, Again: s.N%4 == 0}
		switch b, err := crons.Backfill(name, of); {
		case err == nil && m != nil:
			m.spans = append(m.spans, b)
		case m == nil && cronCode(err) == dispatch.CodeNotFound:
		case m == nil, cronCode(err) != dispatch.CodeAlreadyExists && !strings.Contains(err.Error(), "no slot there"):
			h.bad("backfill %s: %v", name, err)
		}
	case "unfill":
		_, err := crons.CancelBackfill(name)
		want(err, m != nil)
	case "cancel":
		if m == nil {
			return
		}
		if id := r.info("acme", name).NextJob; id != "" {
			if _, err := r.Scheduler("acme").Cancel(id); err != nil {
				h.bad("cancel: %v", err)
			}
		}
	case "crash":
		r.Crash()
	case "downtime":
		r.Kill()
		time.Sleep(time.Duration(s.N) * 50 * time.Millisecond)
		r.Open()
	case "restart":
		r.ask(func() { r.takes = nil })
		r.Restart()
	case "clock", "suspend":
		d := clockSteps[s.N%len(clockSteps)]
		if s.What == "suspend" {
			d = max(d, -d) % (25 * time.Hour)
		}
		h.check()
		r.StepClock(d)
		r.Engine.Clock() // the step is noticed
		r.Advance(0)
		if d < -5*time.Minute || d > 5*time.Minute {
			h.corrected()
		}
	case "slow":
		r.ask(func() {
			r.takes = func(b beat) time.Duration { return time.Duration((int(b.Slot.Unix())+s.N)%9) * 700 * time.Millisecond }
		})
	case "flaky":
		r.ask(func() {
			r.fails = func(b beat) error {
				if (int(b.Slot.Unix())+s.N+b.Attempt)%3 == 0 {
					return errFlaky
				}
				return nil
			}
		})
	case "calm":
		r.ask(func() { r.takes, r.fails = nil, nil })
	}
	r.Advance(time.Duration(s.Millis) * time.Millisecond)
	h.check()
}

// check compares all that can be seen with what must be.
func (h *cronHistory) check() {
	r := h.r
	if err := r.Engine.Check(); err != nil {
		h.bad("check: %v", err)
	}
	wall := r.Now()
	all, err := cronList.Run(r.Caller("acme"), dispatch.None{})
	if err != nil {
		h.bad("beats: %v", err)
	}
	type key struct {
		trigger, word string
		slot          int64
	}
	wrote := map[key]int{}
	for _, b := range all {
		if b.Slot.IsZero() {
			continue
		}
		if b.At.Before(b.Slot) {
			h.bad("early: %+v", b)
		}
		wrote[key{b.Trigger, b.Word, b.Slot.UnixMilli()}]++
	}
	for name, m := range h.models {
		info, ok, err := r.crons("acme").Get(name)
		if err != nil || !ok {
			h.bad("trigger %s: %v %v", name, ok, err)
			continue
		}
		if info.Paused != m.paused {
			h.bad("trigger %s: paused %v", name, info.Paused)
		}
		schedule := m.epochs[len(m.epochs)-1].schedule
		if !m.paused {
			if info.Next.IsZero() {
				h.bad("trigger %s has no next slot", name)
			} else if from := info.Decided; !from.IsZero() && !m.after(schedule, maxTime(from, info.Anchor)).Equal(info.Next) && !info.Next.After(wall) {
				h.bad("trigger %s: decided %v, next %v, want %v", name, from, info.Next, schedule.Next(from))
			}
		}
		slots, err := r.crons("acme").Slots(name, 200)
		if err != nil {
			h.bad("slots: %v", err)
		}
		for _, s := range slots {
			switch {
			case m.fills(s):
				m.filled[s.From.UnixMilli()] = s
			case s.From.After(m.from) && s.Outcome != storage.SlotUndone && !m.spent[s.From.UnixMilli()]:
				m.log[s.From.UnixMilli()] = s
			}
		}
		for k, n := range wrote {
			if at := time.UnixMilli(k.slot); k.trigger == name && m.words[k.word] && n > 1 && !m.acts && !m.ranAgain(at) {
				h.bad("trigger %s: slot %v took effect %d times", name, at.UTC(), n)
			}
		}
		h.cover(name, m, info)
		for at, s := range m.log {
			n := 0
			for k, c := range wrote {
				if k.trigger == name && k.slot == at && m.words[k.word] {
					n += c
				}
			}
			switch {
			case m.filled[at].Outcome != "":
			case s.Outcome != storage.SlotFired && n > 0:
				h.bad("trigger %s: slot %v is %s (%s) and ran", name, s.From, s.Outcome, s.Reason)
			case n > 1 && !m.acts:
				h.bad("trigger %s: slot %v took effect %d times", name, s.From, n)
			}
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cover verifies that the log has every slot of every epoch once, up to what is
// decided, without holes or overlaps.
func (h *cronHistory) cover(name string, m *cronModel, info dispatch.CronInfo) {
	keys := make([]int64, 0, len(m.log))
	for k := range m.log {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	i := 0
	for n, e := range m.epochs {
		next, first := m.after(e.schedule, e.since), true
		for ; i < len(keys); i++ {
			s := m.log[keys[i]]
			if !e.until.IsZero() && s.From.After(e.until) {
				break // of the next epoch
			}
			if first && s.From.After(e.made) && s.From.Before(next) && e.schedule.Next(s.From.Add(-time.Millisecond)).Equal(s.From) {
				next = s.From
			}
			first = false
			for !s.From.Equal(next) && m.filled[next.UnixMilli()].Outcome != "" {
				next = m.after(e.schedule, next)
			}
			if !s.From.Equal(next) {
				if !e.until.IsZero() && next.After(e.until) {
					break
				}
				h.bad("trigger %s, epoch %d: want slot %v, the log has %+v", name, n, next, s)
				return
			}
			if s.Count != 0 && s.To.Sub(s.From) < time.Hour {
				c := 0
				for at := s.From; !at.After(s.To); at = e.schedule.Next(at) {
					c++
				}
				if c != s.Count {
					h.bad("trigger %s: %+v has %d slots", name, s, c)
				}
			}
			if s.Outcome == storage.SlotSkipped && s.Reason == "" || s.Outcome != storage.SlotSkipped && !s.To.Equal(s.From) {
				h.bad("trigger %s: %+v", name, s)
			}
			next = m.after(e.schedule, s.To)
		}
		if !e.until.IsZero() {
			if !next.After(e.until) {
				h.bad("trigger %s, epoch %d: slot %v is lost, it was changed at %v", name, n, next, e.until)
			}
			continue
		}
		for !info.Next.Equal(next) && m.filled[next.UnixMilli()].Outcome != "" {
			next = m.after(e.schedule, next)
		}
		if !info.Next.IsZero() && !info.Next.Equal(next) && !(first && info.Next.After(e.made)) {
			h.bad("trigger %s: next is %v, the log says %v (since %v)", name, info.Next, next, e.since)
		}
	}
	if i < len(keys) {
		h.bad("trigger %s: the log goes on with %+v", name, m.log[keys[i]])
	}
}

func TestG19_EverySlotIsAccountedForOnceOverRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) cronStep {
			return cronStep{
				What:    rapid.SampledFrom(cronSteps).Draw(rt, "what"),
				Trigger: rapid.IntRange(0, 2).Draw(rt, "trigger"),
				N:       rapid.IntRange(0, 400).Draw(rt, "n"),
				Millis:  rapid.SampledFrom([]int{0, 50, 900, 950, 1000, 2500, 7300, 15000, 60050}).Draw(rt, "millis"),
			}
		}), 1, 30).Draw(rt, "steps")
		var wrong []string
		withCrons(t, actors.Options{MaxInterruptions: 100}, func(r *cronHarness) {
			r.StepClock(30 * 365 * 24 * time.Hour) // so that the clock can be stepped back
			h := &cronHistory{r: r, models: map[string]*cronModel{}}
			r.touch("acme")
			for _, s := range steps {
				h.play(s)
				if len(h.wrong) > 0 {
					h.bad("after %+v", s)
					break
				}
			}
			r.ask(func() { r.takes, r.fails = nil, nil })
			wrong = h.wrong
		})
		if len(wrong) > 0 {
			rt.Fatalf("%s", strings.Join(wrong, "\n"))
		}
	})
}
