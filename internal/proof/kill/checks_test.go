package kill_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// The checks of the loop are tested themselves: each is given what it must find nothing wrong with,
// and the same with one thing wrong.

// killFindings is a killFinder that writes down.
type killFindings []string

func (f *killFindings) find(what, format string, args []any) {
	*f = append(*f, what+": "+fmt.Sprintf(format, args...))
}
func (f *killFindings) Lost(format string, args ...any)    { f.find("lost", format, args) }
func (f *killFindings) Doubled(format string, args ...any) { f.find("doubled", format, args) }
func (f *killFindings) Early(format string, args ...any)   { f.find("early", format, args) }
func (f *killFindings) Leaked(format string, args ...any)  { f.find("leaked", format, args) }
func (f *killFindings) Other(format string, args ...any)   { f.find("other", format, args) }

// found demands that the check finds what begins so and nothing else; "" is nothing at all.
func found(t *testing.T, name, want string, check func(to killFinder)) {
	t.Helper()
	var f killFindings
	check(&f)
	if want == "" && len(f) > 0 || want != "" && (len(f) != 1 || !strings.HasPrefix(f[0], want)) {
		t.Errorf("%s: found %q, want %q", name, f, want)
	}
}

func TestChecksOfLanes(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	begins := func(life int, lane, key string, after time.Duration) killHeard {
		return killHeard{killReport{Life: life, Lane: lane, Key: key, Job: "demo0/" + key, Now: at.Add(after)}, at.Add(after)}
	}
	ends := func(h killHeard) killHeard {
		h.Ended = true
		return h
	}
	late := func(h killHeard, last time.Duration) killHeard {
		h.NotAfter = at.Add(last)
		return h
	}
	one, two := begins(1, "narrow", "c0-1", 0), begins(1, "narrow", "c0-2", 0)
	rated := func(span time.Duration) (list []killHeard) {
		for i := range killRate + 1 {
			h := begins(1, "rated/c0", fmt.Sprint("c0-", i), time.Duration(i)*span/killRate)
			list = append(list, h, ends(h))
		}
		return list
	}
	for _, tt := range []struct {
		name, want string
		reports    []killHeard
	}{
		{"one after the other", "", []killHeard{one, ends(one), two, ends(two)}},
		{"two at once", "doubled", []killHeard{one, two, ends(one), ends(two)}},
		{"the first is cut off", "", []killHeard{one, begins(2, "narrow", "c0-2", 0)}},
		{"heard of late", "", []killHeard{begins(2, "narrow", "c0-2", 0), one}},
		{"in line", "", []killHeard{begins(1, "line/c0", "c0-1", 0), begins(2, "line/c0", "c0-1", 0), begins(3, "line/c0", "c0-2", 0)}},
		{"out of line", "other", []killHeard{begins(1, "line/c0", "c0-2", 0), begins(2, "line/c0", "c0-1", 0)}},
		{"as many as the rate in a span", "", rated(killSpan)},
		{"more than the rate in a span", "doubled", rated(killSpan / 4)},
		{"more than the rate, over a kill", "doubled", append(rated(killSpan / 4)[:2*killRate], begins(2, "rated/c0", "c0-9", killSpan/4))},
		{"at the last instant", "", []killHeard{late(begins(1, "", "c0-1", time.Second), time.Second)}},
		{"after it", "other", []killHeard{late(begins(1, "", "c0-1", time.Second), time.Second-1)}},
	} {
		found(t, tt.name, tt.want, (&killJournal{reports: tt.reports}).verifyLanes)
	}
}

func TestChecksOfCheckpoints(t *testing.T) {
	note := func(life, attempt int, do string, page int, first bool) killNote {
		n := killNote{Life: life, Key: "c0-1", Job: "demo0/a", Attempt: attempt, Do: do, First: first}
		if page > 0 {
			n.Saved = killSaved{n.Job, page}
		}
		return n
	}
	begins := func(life, attempt, page int) killNote { return note(life, attempt, "begins", page, false) }
	other := begins(2, 2, 1)
	other.Saved.Job = "demo1/a"
	first := []killNote{begins(1, 1, 0), note(1, 1, "saved", 1, true), note(1, 1, "saved", 2, false)}
	fails := note(1, 1, "fails", 0, false)
	for _, tt := range []struct {
		name, want string
		more       []killNote
	}{
		{"killed, and the second one was written", "", []killNote{begins(2, 2, 2)}},
		{"killed, and it was not", "", []killNote{begins(2, 2, 1)}},
		{"the first one is lost", "lost", []killNote{begins(2, 2, 0)}},
		{"heard of late", "", []killNote{begins(2, 2, 3), note(1, 1, "saved", 3, false)}},
		{"failed", "", []killNote{fails, begins(1, 2, 2)}},
		{"failed, and the last one is lost", "lost", []killNote{fails, begins(1, 2, 1)}},
		{"failed, and killed then", "", []killNote{fails, begins(2, 2, 1)}},
		{"older than what was given before", "lost", []killNote{begins(2, 2, 2), begins(3, 3, 1)}},
		{"of another job", "leaked", []killNote{other}},
		{"an attempt twice", "doubled", []killNote{begins(2, 1, 1)}},
	} {
		found(t, tt.name, tt.want, func(to killFinder) {
			want := 2
			for _, n := range tt.more {
				want = max(want, n.Saved.Done)
			}
			if saved := checkNotes(to, append(first[:3:3], tt.more...)); saved["demo0/a"] != want {
				t.Errorf("%s: %v was saved, want %d", tt.name, saved, want)
			}
		})
	}
}

func TestChecksOfAnswers(t *testing.T) {
	const job = "demo0/a"
	answer := func(attempt, in int, result string, acked, ok bool) killAnswered {
		return killAnswered{
			killAsked: killAsked{Life: 1, Key: "c0-1", Job: job, Attempt: attempt, Token: fmt.Sprint("token ", attempt)},
			Result:    result, In: in, Acked: acked, OK: ok,
		}
	}
	fails := func(a killAnswered) killAnswered {
		a.Fails = true
		return a
	}
	refused := func(a killAnswered, code dispatch.Code) killAnswered {
		a.OK, a.Code = false, code
		return a
	}
	good, again := answer(1, 1, "x", true, true), answer(1, 1, "y", true, false)
	success := killEnded{storage.StateSuccess, []byte(`"x"`)}
	for _, tt := range []struct {
		name, want string
		told       []killAnswered
		end        killEnded
		canceled   bool
	}{
		{"once", "", []killAnswered{good}, success, false},
		{"delivered twice", "", []killAnswered{good, again}, success, false},
		{"lost", "lost", []killAnswered{good}, killEnded{State: storage.StatePending}, false},
		{"with another result", "lost", []killAnswered{good, answer(1, 1, "y", false, false)}, killEnded{storage.StateSuccess, []byte(`"y"`)}, false},
		{"ended twice", "doubled", []killAnswered{good, answer(1, 1, "x", true, true)}, success, false},
		{"two attempts have ended", "doubled", []killAnswered{good, answer(2, 1, "x", true, true)}, success, false},
		{"failed, and the next one has ended", "", []killAnswered{fails(answer(1, 1, "", true, true)), refused(again, dispatch.CodeNotFound), answer(2, 1, "x", true, true)}, success, false},
		{"killed meanwhile, and it had ended", "", []killAnswered{answer(1, 1, "x", false, false), answer(1, 2, "y", true, false)}, success, false},
		{"killed meanwhile, and it had not", "", []killAnswered{answer(1, 1, "y", false, false), answer(1, 2, "x", true, true)}, success, false},
		{"said to have ended by nothing", "other", []killAnswered{answer(1, 1, "x", true, false), answer(1, 1, "x", false, false)}, success, false},
		{"a token that is gone", "lost", []killAnswered{refused(again, dispatch.CodeNotFound), answer(2, 1, "x", true, true)}, success, false},
		{"begun anew by a kill", "", []killAnswered{refused(answer(1, 2, "y", true, false), dispatch.CodeNotFound), answer(2, 2, "x", true, true)}, success, false},
		{"a token that is gone after its end", "lost", []killAnswered{good, refused(answer(1, 2, "y", true, false), dispatch.CodeNotFound)}, success, false},
		{"refused otherwise", "other", []killAnswered{refused(again, dispatch.CodeInternal), good}, success, false},
		{"ended by nothing", "other", []killAnswered{again}, success, true},
		{"canceled", "", []killAnswered{again}, killEnded{State: storage.StateCanceled}, true},
		{"canceled before its handler had returned", "", []killAnswered{good}, killEnded{State: storage.StateCanceled}, true},
		{"canceled by nothing", "lost", []killAnswered{good}, killEnded{State: storage.StateCanceled}, false},
	} {
		found(t, tt.name, tt.want, func(to killFinder) {
			checkAnswers(to, tt.told, map[string]killEnded{job: tt.end}, map[string]bool{job: tt.canceled})
		})
	}
}

func TestChecksOfGroups(t *testing.T) {
	good := func() *killGroupSeen {
		ends := storage.GroupEnds{Success: 5, Failed: 1}
		return &killGroupSeen{
			Made:  []killGroupMade{{"c0-1", 7}},
			Group: storage.Group{ID: 7, Sealed: true, Ends: ends, EndedAt: time.Unix(1, 0), FollowUp: "f"},
			Members: map[int]storage.State{
				0: storage.StateSuccess, 1: storage.StateSuccess, 2: storage.StateSuccess, 3: storage.StateSuccess, 4: storage.StateFailed, killAdded: storage.StateSuccess,
			},
			Told: []killGroupTold{{"c0-1", "f", ends}},
		}
	}
	for _, tt := range []struct {
		name, want string
		edit       func(s *killGroupSeen)
		acked      bool
	}{
		{"as it should be", "", func(*killGroupSeen) {}, true},
		{"not acknowledged, and not there", "", func(s *killGroupSeen) { *s = killGroupSeen{} }, false},
		{"acknowledged, and not there", "lost", func(s *killGroupSeen) { *s = killGroupSeen{} }, true},
		{"half of it is there", "other", func(s *killGroupSeen) { s.Made = nil }, false},
		{"a member is not there", "lost", func(s *killGroupSeen) {
			delete(s.Members, 1)
			s.Group.Ends.Success--
			s.Told[0].Ends.Success--
		}, true},
		{"a member was added by nothing", "doubled", func(s *killGroupSeen) {
			s.Members[5] = storage.StateSuccess
			s.Group.Ends.Success++
			s.Told[0].Ends.Success++
		}, true},
		{"no follow-up", "lost", func(s *killGroupSeen) { s.Told = nil }, true},
		{"two follow-ups", "doubled", func(s *killGroupSeen) { s.Told = append(s.Told, s.Told[0]) }, true},
		{"a wrong count", "other", func(s *killGroupSeen) { s.Group.Ends.Success-- }, true},
		{"told a wrong count", "other", func(s *killGroupSeen) { s.Told[0].Ends.Failed++ }, true},
		{"the follow-up of another end", "other", func(s *killGroupSeen) { s.Group.FollowUp = "g" }, true},
		{"it goes on", "lost", func(s *killGroupSeen) { s.Group.EndedAt = time.Time{} }, true},
		{"a member has not ended", "lost", func(s *killGroupSeen) {
			s.Members[1] = storage.StatePending
			s.Group.Ends.Success--
			s.Told[0].Ends.Success--
		}, true},
	} {
		seen := good()
		tt.edit(seen)
		found(t, tt.name, tt.want, func(to killFinder) {
			checkGroup(to, killOp{Key: "c0-1", N: 5, Adds: true, Acked: tt.acked}, seen, func(int) bool { return false })
		})
	}
}

func TestChecksOfRevisions(t *testing.T) {
	seen := func(asked, ran []int) *killRevisionSeen { return &killRevisionSeen{Asked: asked, Ran: ran} }
	replace := killOp{Kind: "replace", Key: "c0-replace-0", Revision: 2, Acked: true}
	args := killOp{Kind: "args", Key: "c0-1", Revision: 2, Acked: true, Changes: true, Told: true, Changed: true}
	late, cut, unasked := args, args, args
	late.Changed, cut.Told, unasked.Acked = false, false, false
	unasked.Told, unasked.Changes, unasked.Revision = false, false, 1
	for _, tt := range []struct {
		name, want string
		op         killOp
		seen       *killRevisionSeen
	}{
		{"replaced", "", replace, seen([]int{1, 2, 3}, []int{3})},
		{"each has run", "", replace, seen([]int{1, 2, 3}, []int{3, 1, 2})},
		{"the one before has run", "lost", replace, seen([]int{1, 2, 3}, []int{2})},
		{"none has run", "lost", replace, seen([]int{1, 2}, nil)},
		{"acknowledged, and not there", "lost", replace, seen([]int{1}, []int{1})},
		{"run twice", "doubled", replace, seen([]int{1, 2}, []int{2, 1, 2})},
		{"what was rolled back has run", "other", replace, seen([]int{1, 2}, []int{2, 3})},
		{"changed", "", args, seen([]int{1, 2}, []int{2})},
		{"changed, and it has run as it was", "lost", args, seen([]int{1, 2}, []int{1})},
		{"changed, and it has run as both", "doubled", args, seen([]int{1, 2}, []int{1, 2})},
		{"too late", "", late, seen([]int{1}, []int{1})},
		{"said to be too late", "other", late, seen([]int{1, 2}, []int{2})},
		{"cut off, and changed", "", cut, seen([]int{1, 2}, []int{2})},
		{"cut off, and not changed", "", cut, seen([]int{1}, []int{1})},
		{"never there", "", unasked, seen(nil, nil)},
	} {
		found(t, tt.name, tt.want, func(to killFinder) { checkRevisions(to, tt.op, tt.seen) })
	}
	throttled := func(runs ...int) *killRevisionSeen { // asked for at once; in ms
		s := seen([]int{1, 2, 3, 4}[:len(runs)], []int{1, 2, 3, 4}[:len(runs)])
		for _, ms := range runs {
			s.AskedAt = append(s.AskedAt, killPastTo)
			s.RanAt = append(s.RanAt, killPastTo.Add(time.Duration(ms)*time.Millisecond))
		}
		return s
	}
	for _, tt := range []struct {
		name, want string
		seen       *killRevisionSeen
	}{
		{"one", "", throttled(0)},
		{"apart", "", throttled(0, 100, 201, 350)},
		{"the first has waited for its turn", "", throttled(99, 100, 200)},
		{"heard of in another order", "", throttled(200, 0, 100)},
		{"two at once", "doubled", throttled(0, 94)},
		{"two at once behind the first", "doubled", throttled(0, 110, 150)},
		{"not asked for", "", &killRevisionSeen{Ran: []int{7}, RanAt: []time.Time{killPastTo}}},
	} {
		found(t, "throttled: "+tt.name, tt.want, func(to killFinder) { checkApart(to, killOp{}, tt.seen) })
	}
	slots := func(n int) (list []time.Time) {
		for i := range n {
			list = append(list, killPastFrom.AddDate(0, i, 0))
		}
		return list
	}
	done := &storage.Backfill{Slots: killPastEach, Begun: killPastEach, Outcome: storage.BackfillDone}
	for _, tt := range []struct {
		name, want string
		acked      bool
		seen       killRevisionSeen
	}{
		{"each once", "", true, killRevisionSeen{Slots: slots(killPastEach), Backfill: done}},
		{"never there", "", false, killRevisionSeen{}},
		{"acknowledged, and not there", "lost", true, killRevisionSeen{}},
		{"slots of none", "other", false, killRevisionSeen{Slots: slots(1)}},
		{"one is missing", "lost", true, killRevisionSeen{Slots: slots(killPastEach - 1), Backfill: done}},
		{"one has run twice", "doubled", true, killRevisionSeen{Slots: append(slots(killPastEach), killPastFrom), Backfill: done}},
		{"it goes on", "lost", true, killRevisionSeen{Slots: slots(killPastEach), Backfill: &storage.Backfill{Slots: killPastEach, Begun: killPastEach}}},
	} {
		found(t, "a backfill: "+tt.name, tt.want, func(to killFinder) { checkPast(to, killOp{Acked: tt.acked}, &tt.seen) })
	}
}

func TestChecksOfWatches(t *testing.T) {
	commit := uint64(10)
	event := func(kind actors.EventKind, seq uint64, state storage.State) killEvent {
		e := killEvent{Kind: kind, Seq: seq, ID: storage.JobID(fmt.Sprint("j", seq)), State: state}
		if kind != actors.EventReset && kind != actors.EventJob && kind != actors.EventStarted {
			commit++
			e.Position = actors.Position{Feed: 1, Commit: commit}
		}
		return e
	}
	reset, ready := event(actors.EventReset, 0, ""), event(actors.EventReady, 0, "")
	first := event(actors.EventScheduled, 1, storage.StatePending)
	ended := event(actors.EventEnded, 1, storage.StateSuccess)
	second := event(actors.EventScheduled, 2, storage.StatePending)
	canceled := event(actors.EventCanceled, 1, storage.StateCanceled)
	readyAgain := event(actors.EventReady, 0, "")
	third := event(actors.EventScheduled, 3, storage.StatePending)
	of := func(seq uint64, state storage.State) killEvent { return event(actors.EventJob, seq, state) }
	ops := []killOp{
		{Do: "chain:later", Acked: true, Jobs: []storage.JobID{"j1"}, Ended: storage.StateSuccess},
		{Do: "chain:later", Acked: true, Jobs: []storage.JobID{"j2"}},
		{Do: "chain:later", Acked: true, Jobs: []storage.JobID{"j3"}},
	}
	for _, tt := range []struct {
		name, want string
		before     []killEvent
		events     []killEvent
	}{
		{"a job and its end", "", nil, []killEvent{reset, ready, first, event(actors.EventStarted, 1, storage.StateRunning), ended}},
		{"it is the next life's snapshot", "", []killEvent{reset, ready, first, ended}, []killEvent{reset, of(1, storage.StateSuccess), readyAgain, third}},
		{"which has not the end", "lost", []killEvent{reset, ready, first, ended}, []killEvent{reset, of(1, storage.StatePending), readyAgain}},
		{"which has not the job", "lost", []killEvent{reset, ready, first, ended}, []killEvent{reset, readyAgain}},
		{"a snapshot that has it twice", "doubled", nil, []killEvent{reset, of(1, storage.StatePending), of(1, storage.StatePending), readyAgain}},
		{"a change that the snapshot has", "doubled", nil, []killEvent{reset, of(1, storage.StateSuccess), ready, ended}},
		{"scheduled again", "doubled", nil, []killEvent{reset, of(1, storage.StatePending), ready, first}},
		{"an end before its job", "lost", nil, []killEvent{reset, ready, ended}},
		{"in another order", "doubled", nil, []killEvent{reset, ready, second, first}},
		{"ended twice", "doubled", nil, []killEvent{reset, ready, first, ended, canceled}},
		{"begun again", "", nil, []killEvent{reset, ready, first, ended, reset, of(1, storage.StateSuccess), readyAgain, third}},
		{"begun again without what there was", "lost", nil, []killEvent{reset, ready, first, reset, readyAgain}},
		{"no snapshot", "other", nil, []killEvent{ready}},
		{"it has ended", "other", nil, []killEvent{reset, ready, {Reason: "it has"}}},
	} {
		found(t, tt.name, tt.want, func(to killFinder) {
			var before *killView
			if tt.before != nil {
				before = viewOf(to, nil, killWatchedLife{1, tt.before})
			}
			viewOf(to, before, killWatchedLife{2, tt.events})
		})
	}
	for _, tt := range []struct {
		name, want string
		events     []killEvent
	}{
		{"as the client knew it", "", []killEvent{reset, ready, first, ended, second, third}},
		{"in the snapshot", "", []killEvent{reset, of(2, storage.StatePending), of(1, storage.StateSuccess), readyAgain}},
		{"cut off", "", []killEvent{reset, ready, first}},
		{"a gap", "lost", []killEvent{reset, ready, first, ended, third}},
		{"an end that is told late", "lost", []killEvent{reset, ready, first, second, event(actors.EventEnded, 1, storage.StateSuccess)}},
	} {
		found(t, tt.name, tt.want, func(to killFinder) { viewOf(to, nil, killWatchedLife{1, tt.events}).order(to, ops, 1) })
	}
}

func TestChecksOfLoad(t *testing.T) {
	acked := func(do string) *loadOp { return &loadOp{do: do, key: "k", keyed: do != "load:ask", acked: true} }
	job := acked("load:job")
	job.job = "j"
	canceled := *job
	canceled.canceled = true
	unanswered := loadOp{do: "load:ask", key: "k"}
	dropped := *acked("load:add")
	dropped.acked = false
	for _, tt := range []struct {
		name, want string
		op         *loadOp
		docs       int
		state      storage.State
	}{
		{"once", "", acked("load:add"), 1, ""},
		{"twice", "doubled", acked("load:add"), 2, ""},
		{"lost", "lost", acked("load:add"), 0, ""},
		{"never answered", "other", &dropped, 1, ""},
		{"an action without an answer", "", &unanswered, 0, ""},
		{"that was applied", "", &unanswered, 1, ""},
		{"twice, of no key", "doubled", &unanswered, 2, ""},
		{"a job", "", job, 1, storage.StateSuccess},
		{"a job that is gone", "lost", job, 1, ""},
		{"a job that has failed", "other", job, 1, storage.StateFailed},
		{"canceled", "", &canceled, 0, storage.StateCanceled},
		{"canceled, and it has run", "other", &canceled, 1, storage.StateCanceled},
	} {
		found(t, tt.name, tt.want, func(to killFinder) {
			checkLoad(to, []*loadOp{tt.op}, map[string]int{"k": tt.docs}, map[string]storage.State{"k": tt.state})
		})
	}
	found(t, "not asked for", "other", func(to killFinder) { checkLoad(to, nil, map[string]int{"k": 1}, nil) })

	life := func(first, step int) (heap []int) {
		for i := range 12 {
			heap = append(heap, (first+i*step)<<20)
		}
		return heap
	}
	for name, tt := range map[string]struct {
		want string
		heap []int
	}{
		"flat": {"", life(40, 0)}, "within the slack": {"", life(40, 3)}, "ever more": {"leaked", life(40, 8)}, "too few": {"", life(40, 99)[:8]},
	} {
		found(t, name, tt.want, func(to killFinder) { checkHeap(to, [][]int{life(1, 0), tt.heap}) })
	}
}
