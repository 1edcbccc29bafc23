// Package ticks decides what becomes of a trigger's tick when its instant has come, or
// nearly. The decision is a function of the trigger, the tick, what runs beside it and
// the wall: nothing here reads or writes a store.
//
//	trigger, tick, runs, wall ──► Case ──Decide──► Decision ──► change set
//
// The engine gathers the Case and applies the Decision:
//
//	c := &ticks.Case{Trigger: &t, Job: job, Schedule: schedule, Wall: wall, Ticks: running}
//	switch d := ticks.Decide(c); d.Verb {
//	case ticks.Run: // claim it, log its slot as fired, and have the trigger go on after d.Wind
//	case ticks.Wait: // look again at d.Until, or when a run of the trigger has ended
//	case ticks.Hold: // until a program comes that can run it
//	case ticks.Drop: // take it out, log d.Skip and d.Late, and go on after d.Wind
//	}
//
// Invariants:
//
//	T1  The same Case has the same Decision, and nothing of the Case is changed.
//	T2  What Skip, Late and the slot that fires say has no slot twice, and leaves none out
//	    between the trigger's next and Wind.
//	T3  A tick is dropped with a reason, and so is each slot that is skipped.
//	T4  The work is bounded by CatchUp.Limit, whatever time has passed.
package ticks
