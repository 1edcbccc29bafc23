package actors

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"carillon/dispatch"
	"carillon/storage"
)

// declared are the triggers of Options.Crons, checked.
type declared struct {
	plans       []storage.Trigger
	apps        [][]storage.AppID // of the plan at the same place; nil: every app
	fingerprint string
}

func declare(plans []storage.Trigger, triggers []dispatch.Trigger) declared {
	d := declared{plans: plans}
	h := sha256.New()
	for i := range plans {
		p := &plans[i]
		apps := slices.Sorted(slices.Values(triggers[i].Apps))
		d.apps = append(d.apps, apps)
		text, err := json.Marshal(definition(p))
		if err != nil {
			panic("actors: a trigger without JSON: " + err.Error()) // it has plain fields only
		}
		fmt.Fprintf(h, "%s %v %q\n", text, p.Paused, apps)
	}
	if len(plans) > 0 {
		d.fingerprint = hex.EncodeToString(h.Sum(nil)) // of none it is "", which is what a new store says
	}
	return d
}

// of returns the declared triggers of the app, and whether it is named by one,
// so that it comes into being with it.
func (d *declared) of(id storage.AppID) (plans []storage.Trigger, named bool) {
	for i := range d.plans {
		_, found := slices.BinarySearch(d.apps[i], id)
		if found || len(d.apps[i]) == 0 {
			plans = append(plans, d.plans[i])
		}
		named = named || found
	}
	return plans, named
}

// starters returns the apps that have a trigger AtStart.
func (d *declared) starters() (ids []storage.AppID) {
	for i := range d.plans {
		if d.plans[i].AtStart {
			ids = append(ids, d.apps[i]...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// named returns every app that a trigger names.
func (d *declared) named() (ids []storage.AppID) {
	for _, apps := range d.apps {
		ids = append(ids, apps...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// windDeclared brings the app's triggers in line with the declared ones, by
// name: new ones are wound up, changed ones anew, unchanged ones left as they
// are, and those not declared any more removed with their pending ticks. It is
// false if it has been done, or if the app does not exist.
func (s *scheduler) windDeclared() bool {
	if s.phase() != phaseAligning || s.uncorrected() {
		return false
	}
	plans, named := s.eng.declared.of(s.id)
	if !s.store.Stored() && !named {
		return false
	}
	s.move(triggersAligned)
	tx := s.begin(s.eng.clock.look())
	tx.Pin()
	var cancelings []*run
	tx.OnCancel(s.noteCancels(&cancelings))
	sys, eng, id, step := s.eng.sys, s.eng, s.id, storage.EraID(s.eng.clock.latestStep.Load())
	rolledOut := func(err error) {
		if err == nil {
			sys.tell(eng.waker.self, &appRolledOut{id, step})
		}
	}
	if err := s.alignTriggers(tx, plans); err != nil {
		s.eng.opts.Logger.Error("declared triggers", "app", s.id, "err", err)
		s.rollback(tx, cancelings, nil)
		return true
	}
	switch {
	case tx.Unchanged() && !eng.waker.rollingOut.Load():
		s.rollback(tx, cancelings, nil)
	case tx.Unchanged():
		s.rollback(tx, cancelings, rolledOut)
	default:
		s.commitRuns(tx, cancelings, runChanges{own: true}, rolledOut)
	}
	return true
}

// windBorn winds up the triggers of an app in the transaction that brings it
// into being: were they wound up after that, a crash in between would leave an
// app that sleeps, without an alarm, and that no rollout reaches.
func (s *scheduler) windBorn(tx *storage.Tx) error {
	if s.phase().stage() == phaseServing || s.store.Stored() || tx.Unchanged() {
		return nil
	}
	plans, _ := s.eng.declared.of(s.id)
	err := s.alignTriggers(tx, plans)
	if err == nil && s.phase().stage() == phaseAligning {
		s.move(triggersAligned)
	}
	return err
}

// doubtTriggers has the declared triggers looked at again if the waker waits to be told
// that they were, since the wall was stepped.
func (s *scheduler) doubtTriggers() {
	if s.phase().stage() == phaseServing && s.eng.waker.rollingOut.Load() {
		s.move(triggersDoubted)
	}
}

// alignTriggers does the work of windDeclared. A trigger that cannot be brought
// in line is logged, and keeps no other from it: an app may have no room for it.
func (s *scheduler) alignTriggers(tx *storage.Tx, plans []storage.Trigger) error {
	wall, now := s.eng.clock.wall(), tx.Now()
	stored, err := tx.JobWriter().System().Triggers()
	if err != nil {
		return err
	}
	s.planner.watch(stored)
	have, wanted, changed := map[string]storage.Trigger{}, map[string]bool{}, map[string]bool{}
	for _, t := range stored {
		have[t.Name] = t
	}
	for _, plan := range plans {
		wanted[plan.Name] = true
	}
	align := func(name string, change func(w storage.JobWriter) error) {
		if err := tx.JobWriter().Nested(change); err != nil {
			s.eng.opts.Logger.Error("declared trigger", "app", s.id, "trigger", name, "err", err)
		}
	}
	// Those that go make room for those that come.
	for _, t := range stored {
		if t.Declared && !wanted[t.Name] {
			align(t.Name, func(w storage.JobWriter) error { return s.planner.remove(w, &t, wall, now) })
		}
	}
	for _, plan := range plans {
		switch t, ok := have[plan.Name]; {
		case t.Unreadable():
			s.eng.opts.Logger.Error("declared trigger", "app", s.id, "trigger", plan.Name, "err", t.Fault)
		case !ok:
			align(plan.Name, func(w storage.JobWriter) error { return s.planner.create(w, plan, wall, now) })
		case !sameDefinition(&t, &plan):
			align(plan.Name, func(w storage.JobWriter) error { return s.planner.redefine(w, t, plan, wall, now) })
			changed[plan.Name] = true
		}
	}
	for _, t := range stored {
		if !wanted[t.Name] && t.Declared || changed[t.Name] {
			continue
		}
		switch {
		case s.planner.unstarted(&t):
			align(t.Name, func(w storage.JobWriter) error { return s.planner.start(w, &t, wall, now) })
		case s.planner.curable(&t):
			align(t.Name, func(w storage.JobWriter) error { return s.planner.resume(w, t, wall, now) })
		}
	}
	return nil
}
